"""What the teacher is asked, and what the student learns to answer.

The method is that of He and others (arXiv 2606.04466), whose prompts cannot be read here: these are ours.
"""

PROBLEM, ATTEMPT, REFERENCE = "{problem}", "{attempt}", "{reference}"
BEGINNING, STEP, DIAGNOSIS = "{beginning}", "{step}", "{diagnosis}"

VERDICT, NONE = "First wrong step:", "none"
"""How a diagnosis ends: `First wrong step: 3`, or `First wrong step: none`."""
NO_REFERENCE = "(There is none.)"
NO_BEGINNING = "(Nothing: begin with the first step.)"

DIAGNOSE = f"""\
Check the solution below, one step after the other. It may be right or wrong.

Find the first wrong step: one with a false statement or a wrong calculation, or one that does not follow from the \
problem and the steps before it. A step that is only clumsy or needless is not wrong. Say in at most four sentences \
why this step is wrong and what would be right in it; do not solve the rest. If all steps are right, say in at most \
four sentences how that can be seen. The reader does not see the reference solution: never mention it.

End with a line "{VERDICT} N", where N is the number of the step, or with "{VERDICT} {NONE}" if the solution is right.

Problem:
{PROBLEM}

Reference solution:
{REFERENCE}

Solution to check:
{ATTEMPT}
"""
"""Asks the teacher for a diagnosis."""

REPAIR = f"""\
Continue the solution below, which was stopped before its first wrong step.

Write the rest in short numbered steps, one a line, and begin with step {STEP}. Do not repeat the steps before it. End \
with the final answer, in the form that the problem asks for. Write the steps and the answer, and nothing else.

Problem:
{PROBLEM}

What was wrong with the former step {STEP}:
{DIAGNOSIS}

Solution so far:
{BEGINNING}
"""
"""Asks the teacher to continue from the steps before the first wrong one."""

DIAGNOSIS_TASK = f"""\
Check the solution below. Find its first wrong step, and say why it is wrong. End with a line "{VERDICT} N", or with \
"{VERDICT} {NONE}" if the solution is right.

Problem:
{PROBLEM}

Solution:
{ATTEMPT}
"""
"""Asks the student for a diagnosis, in the rows to learn."""

REPAIR_TASK = f"""\
Correct the solution below: keep the steps before the first wrong one, and continue from there to the final answer.

Problem:
{PROBLEM}

Solution:
{ATTEMPT}

What is wrong:
{DIAGNOSIS}
"""
"""Asks the student for a corrected solution, in the rows to learn."""
