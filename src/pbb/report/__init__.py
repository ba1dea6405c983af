"""The report: one self-contained page that a sceptical reader can check, and its figures with the numbers
behind them.
"""
