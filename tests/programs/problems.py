"""Made-up problems in both schemas of LeetCodeDataset, for the tests of the loader: none is LeetCode's."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROMPT = (
    "from typing import *\nfrom collections import *\nfrom math import *\nimport math\ninf = float('inf')\n"
)


def row(
    name: str, method: str, code: str, pairs: list[tuple[str, str]], *, later: bool, statement: str = ""
) -> dict[str, Any]:
    """A line of the data set; `later` is the schema of v0.3.1."""
    told = statement or f"You are given what {name} is about. Return what is asked."
    told += f"\n\u00a0\nExample 1:\n\nInput: {pairs[0][0] if pairs else 'none'}\nOutput: {pairs[0][1] if pairs else 'none'}\n"
    shared = {
        "task_id": name,
        "prompt": PROMPT,
        "completion": code,
        "entry_point": f"Solution().{method}",
        "test": "def check(candidate):\n    pass\n",
        "query": "unused",
        "response": "unused",
        "input_output": [{"input": i, "output": o} for i, o in pairs],
    }
    if later:
        return shared | {
            "question_id": 9,
            "difficulty": "Easy",
            "tags": ["Array"],
            "problem_description": told,
        }
    return shared | {
        "meta": {"question_id": 9, "difficulty": "Easy", "question_title": told, "lang_code": "..."}
    }


def method(name: str, parameters: str, *body: str) -> str:
    """A class Solution with one method."""
    return f"class Solution:\n    def {name}(self, {parameters}) -> int:\n" + "".join(
        f"        {line}\n" for line in body
    )


SCALE = method(
    "scale", "nums: List[int], k: int", "best: int = 0", "for n in nums:", "    best += n * k", "return best"
)
SCALE_PAIRS = [("nums = [1,2,3], k = 2", "12"), ("nums = [4], k = 3", "12"), ("nums = [5,-1], k = 1", "4")]
SPREAD = method("spread", "nums: List[int]", "nums.sort()", "return nums[-1] - nums[0]")
SPREAD_PAIRS = [("nums = [3,1,9]", "8"), ("nums = [4,4,6,1]", "5"), ("nums = [2,7]", "5")]
LETTERS = method("letters", "s: str", "return len(set(s)) * 10 + len(s)")
LETTERS_PAIRS = [('s = "abca"', "34"), ('s = "zz"', "12"), ('s = "qwerty"', "66")]
COUNTED = """from collections import Counter
LIMIT = 3

class Tally:
    def __init__(self, items: List[int]):
        self.counts = Counter(items)

    def most(self) -> int:
        return max(self.counts.values())

def unused(x):
    return x

class Solution:
    base = 100

    def clip(self, n: int) -> int:
        self.seen += 1
        return min(n, LIMIT)

    def counted(self, nums: List[int], extra: int) -> int:
        \"\"\"A docstring, which goes.\"\"\"
        self.seen = 0
        total = sum(self.clip(n) for n in nums)
        return self.base * Tally(nums).most() + total + self.seen + extra
"""
COUNTED_PAIRS = [
    ("nums = [1,5,5], extra = 2", "212"),
    ("nums = [2,2,2], extra = 0", "309"),
    ("nums = [1], extra = 4", "106"),
]
TREE = "class Solution:\n    def depth(self, root: Optional[TreeNode]) -> int:\n        return 1\n"
CHAIN = "class Solution:\n    def last(self, head: 'Optional[ListNode]') -> int:\n        return 1\n"
CHANCE = "class Solution:\n    def pick(self, nums: List[int]) -> int:\n        return random.choice(nums)\n"
PLACE = "class Solution:\n    def turn(self, nums: List[int]) -> None:\n        nums.reverse()\n"
DESIGN = "class Stack:\n    def push(self, x: int) -> None:\n        pass\n"
FOREIGN = "from sortedcontainers import SortedList\n" + method(
    "first", "nums: List[int]", "return SortedList(nums)[0]"
)
YES = method("yes", "n: int", "return n > 3")
SETS = method("distinct", "nums: List[int]", "return set(nums)")
FOREVER = method("forever", "n: int", "while True:", "    n += 1", "return n")
BROKEN = "class Solution:\n    def broken(self, n: int) -> int:\n        return (n\n"
NAMELESS = method("nameless", "n: int", "return helper_of_nobody(n)")
ONE = [("nums = [1,2]", "1"), ("nums = [3,4]", "3")]

FINE = [
    ("scale", SCALE, SCALE_PAIRS),
    ("spread", SPREAD, SPREAD_PAIRS),
    ("letters", LETTERS, LETTERS_PAIRS),
    ("counted", COUNTED, COUNTED_PAIRS),
]
BAD = [
    ("depth", TREE, [("root = [1,2]", "1")], "trees"),
    ("last", CHAIN, [("head = [1,2]", "1")], "linked lists"),
    ("pick", CHANCE, ONE, "randomness"),
    ("turn", PLACE, [("nums = [1,2]", "[2,1]")], "answers in place"),
    ("push", DESIGN, ONE, "class design"),
    ("first", FOREIGN, ONE, "other modules"),
    ("yes", YES, [("n = 4", "true"), ("n = 2", "false")], "fewer than 3 different outputs"),
    ("distinct", SETS, [("nums = [1,1]", "{1}"), ("nums = [2,3]", "{2, 3}")], "output is no literal"),
    ("forever", FOREVER, [("n = 4", "5")], "too slow"),
    ("broken", BROKEN, [("n = 4", "4")], "syntax error"),
    ("nameless", NAMELESS, [("n = 4", "4")], "undefined names"),
    ("scale", SCALE, [("nums = [1,2,3], k = 2", "13")], "disagrees with its pairs"),
    ("scale", SCALE, [], "no I/O pairs"),
    ("scale", SCALE, [("nums = f(), k = 2", "13")], "no I/O pairs"),
    ("letters", LETTERS, [('s = "' + "ab" * 5_000_000 + '"', "3")], "no I/O pairs"),
]  # fmt: skip


def dataset(later: bool) -> list[dict[str, Any]]:
    """The fine problems, then those that are left out, under names of their own."""
    rows = [row(name, name, code, pairs, later=later) for name, code, pairs in FINE]
    return rows + [
        row(f"bad-{i}-{name}", name, code, pairs, later=later)
        for i, (name, code, pairs, _) in enumerate(BAD)
        if len(str(pairs)) < 100_000
    ]


def write(path: Path, rows: Iterable[dict[str, Any] | str]) -> Path:
    """A .jsonl or .jsonl.gz of rows; a row that is text is written as it stands."""
    text = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
