"""More forms of replies to a question with four choices: red, green, blue, grey; each line is reply|letter."""

import pytest

from components.rewards.choices.read_choice import read_choice

REPLIES = r"""
The answer is D, A and B are wrong.|D
The answer is D, A, and B.|
答案应为D，A和B是错误的|D
The answer is **(C)** blue.|C
After careful consideration, I conclude that B is correct.|B
The correct answer is option B: green.|B
The answer is B) green|B
I am confident that the answer is D|D
Correct answer: (A)|A
Correct option: D|D
Answer is (B)|B
Ans: C|C
Ans. C|C
ANS - D|D
Solution: B|B
B is correct because green is a mix.|B
B is the right answer.|B
Option B is correct.|B
Option (b) is correct.|B
The answer is b) green|B
the correct answer is (d) grey.|D
So, the final answer is: C.|C
Thus the correct answer would be C.|C
A is not correct. B is correct.|B
B, because A is too warm and C is too cold.|B
B (not A)|B
Only B satisfies the condition.|B
Only option D is true.|D
The statement in B is true, so B.|B
It can't be A or C. D is the only one left.|D
It has to be B.|B
Definitely B.|B
Probably C.|C
Maybe D|D
I guess B.|B
I'm going with C.|C
My guess is A.|A
My final choice: D|D
The only correct option is A.|A
The correct answers are A and C.|
A/B|
Answer: A, C|
All of the above|
The answer isn't listed.|
I can't answer that question.|
Sorry, I cannot help.|
As an AI, I don't have opinions.|
The question is ambiguous.|
Not sure|
B or C|
Either A or D.|
The answer is not given.|
There is no correct answer.|
It depends.|
该题选A|A
选择：B|B
我的答案是C|C
正确选项：D|D
正确选项为B|B
本题应选C。|C
答案应为D|D
B正确|B
B选项正确|B
选项B正确，选项A错误|B
A、C错误；B正确。|B
由此可知，D正确，故选D。|D
A不正确，因为太暖；B不正确；D不正确。因此选C|C
不能选A，要选B|B
答案是A吗？不，答案是B。|B
答案不是B也不是C，是D。|D
答案：C。解析：A错，B错，D错。|C
解析：A项……不对。答案：C|C
A和B都对|
没有正确答案|
我不知道|
无法确定|
以上皆非|
可能是A|A
我觉得是C|C
应该选(B)|B
（C）蓝色|C
C．蓝色|C
c、蓝色|C
C 蓝色|C
D：灰色|D
The answer is: \\boxed{\\text{(D) grey}}|D
\\boxed{D. grey}|D
$\\boxed{\\text{C) blue}}$|C
**C**|C
**C. blue**|C
### Answer: B|B
Answer: [B]|B
>B|B
"B" is my answer|B
The answer is option (A)|A
The answer is (A) because the article "a" is used.|A
A: red|A
A - red|A
A because it is warm|A
A is correct|A
A is wrong, B is right|B
A would be wrong here. C it is.|C
Let's see: A? No. B? No. C? Yes.|C
Let me check each: A - no; B - no; C - yes; D - no.|C
(A) no (B) no (C) yes (D) no|C
I think the answer is A, no wait, it's B.|B
The answer is B... no, C.|C
Hmm, B? No, C.|C
At first glance, A seems right, but actually the answer is C.|C
Although B may appear correct, the answer is D.|D
The answer is B, although C may appear correct.|B
The answer is B. C may appear correct but is not.|B
B. C may appear correct but is not.|B
The answer is B, as opposed to A.|B
The answer is B instead of A.|B
Instead of A, the answer is B.|B
Unlike A, B is right.|B
Rather than A, choose B.|B
A would be the answer if x were warm, but it is cold, so the answer is C.|C
The answer would be A if it were warm. It is not, so B.|B
Given the choices A, B, C, and D, the best is C.|C
Of the options A, B, C and D, D is the answer.|D
From the four options (A, B, C, D), I choose B.|B
The answer is C, since A, B and D are wrong.|C
A, B and C are wrong; the answer is D.|D
Options A and B are wrong. C is partially right. D is right.|D
The incorrect statement is C.|C
The statement that is not true is B.|B
Which one is false? C is false.|
C is the odd one out.|C
The exception is D.|D
The answer is D: neither A nor B nor C.|D
A is false, so the answer is A.|A
Option A is incorrect, so the answer is A.|A
The answer is not A, not B, but C.|C
Not A, not B, so C|C
A. is wrong. B. is right.|B
d) grey|D
answer: d|D
option c|C
Option C.|C
choice b|B
The correct choice is b|B
The answer is letter C|C
The letter is C.|C
Choose C.|C
Select (D)|D
I pick b.|B
C is right|C
c is correct|C
The answer:C|C
The answer→C|C
Answer=C|C
The answer is c, blue.|C
It's B.|B
This is B.|B
That's option D.|D
I'd say D.|D
I would say it's C.|C
I'd say (b)|B
The correct one is A.|A
The correct response is B|B
B\n\nExplanation: The colour green is made of A and C.|B
Explanation: ...\nAnswer: C\n\nNote: A is a distractor.|C
Step 1: A is out. Step 2: B is out. Step 3: between C and D, D is better.|D
D is better than C.|D
C is more accurate than B.|C
<think>x</think>The answer is not B but C.|C
<think>\nC\n</think>\n\n**D**|D
<reasoning>A</reasoning>B|B
[THINK]A[/THINK]C|C
The answer is B. A and C are distractors.|B
The answer is B. While option A may look right, it ignores friction.|B
The answer is B, since A is a colour of heat, C of cold, D of none.|B
The answer is B: option C's claim is false.|B
Answer: B\n\nWhy not A: it is warm.\nWhy not C: it is cold.\nWhy not D: dull.|B
B\n\nA is wrong because it is warm.\nC is wrong because it is cold.\nD is wrong.|B
B is the best choice. A is too warm.|B
We eliminate A because it is warm, and D because it's dull. Between B and C, B is better. The answer is B.|B
The correct answer is B) green. Option A) red is incorrect. Option C) blue is incorrect.|B
(B) green. (A) is incorrect because red is warm. (C) is incorrect.|B
The answer is D (grey), not B (green).|D
It's definitely not A. I'd say C.|C
Not C. D.|D
Not C; D.|D
Not A, B.|B
It is B and not A.|B
It is B, not A or C.|B
The answer isn't A, it's B.|B
The answer is not B, it is D.|D
The answer is not (A) red but (C) blue.|C
Certainly not D, so C.|C
A is not the answer; C is.|C
A isn't it. C is.|C
Neither A, B nor D. C is the one.|C
None of A, B and C works, so D.|D
C is not right, and neither is D. So B.|B
A and B are wrong, C and D are right.|
Option A. No, Option B.|B
My answer: A... Actually B.|B
I'd eliminate B.|
B seems wrong.|
B can be ruled out.|
Rule out B.|
B is out.|
I don't think it's B.|
I doubt it is B.|
It's unlikely to be B.|
The answer is none of these.|
The answer is neither A nor B.|
Neither.|
No option is correct.|
Could be A or B.|
I'm torn between A and C.|
The answer could be A, B or C.|
I need more information to answer.|
I cannot determine the answer.|
Let me think about each option. Option A: red is warm. Option B: green is|
A) red B) green C) blue D) grey|
The options are A, B, C, and D.|
A: red, B: green, C: blue, D: grey. The answer: C|C
What is asked is a colour. C|C
...therefore C|C
...so the answer must be C|C
The colour of the sky is blue (C).|C
The colour of the sky is blue, option C.|C
The sky is blue, which corresponds to option C.|C
This corresponds to (C).|C
That matches choice C.|C
which is choice D|D
Choice D is correct.|D
Statement C is true.|C
Option D (grey) is the correct choice.|D
D) is correct|D
D is my choice.|D
D is what I'd pick|D
D, I think.|D
D!|D
D :)|D
Is it D? Yes, D.|D
**Answer: D**|D
**Answer:** **D**|D
*D*|D
__D__|D
<b>D</b>|D
D</s>|D
D<|im_end|>|D
Answer: D<|im_end|>|D
answer:D.|D
The answer is $D$.|D
The answer is \(D\).|D
The answer is \textbf{D}.|D
The answer is \text{(D)}.|D
\boxed{D}|D
\boxed{\text{D}}.|D
\boxed{(D)}|D
\boxed{D: \text{grey}}|D
The answer is: $\boxed{\text{D}}$.|D
Final answer: D.|D
final answer is (d)|D
FINAL ANSWER: D|D
The answer is D because D is grey.|D
The answer is C because C is blue and A is not.|C
The answer is A because A is red, B is green.|A
A cat is red, so the answer is A.|A
A good answer is B.|B
A better choice would be C.|C
I think A.|A
I think A is right|A
I choose A because a car is red.|A
I'd say A, as apples are red.|A
It is a red thing, so A.|A
A: because|A
A, since red is warm|A
A since red is warm|A
A is right since red is warm|A
选A不选B。|A
选A，不选B。|A
选择A，因为B错误|A
答案是A而不是B|A
答案是A，而非B。|A
答案应该是A，不是B。|A
答案不选A，选B。|B
不选A选B|B
不是A，而是B|B
并非A，应为B|B
A不是正确答案，B才是正确答案。|B
A不是答案，B是。|B
A是错的，B是对的。|B
A错B对|B
A、B错，C对|C
A和B错误，D正确|D
排除A和B，选C|C
排除ABD，选C|C
排除ABD，故选C。|C
ABD错误，故选C。|C
ABD都不对，所以选C|C
A、B、C三项均不符合，故选D项。|D
只有D正确。|D
只有D符合题意|D
正确的是D|D
说法正确的是D|D
下列说法错误的是D|D
【解析】A错误；B错误；C正确；D错误。故选C。|C
【解析】A项，……错误；故选：B|B
解析：…… 答案：D|D
故本题选择D选项。|D
故答案选D|D
故正确答案为D。|D
答案：D。A不对。|D
答案D|D
D选项|D
D是正确的。|D
我认为答案是D，因为A太暖|D
我会选D|D
应为D|D
这道题的答案是D|D
这题选D|D
所以应选择D选项|D
因此，正确答案是选项D：灰色|D
可能选A，也可能选B|
A或B|
选A或者B|
不确定，可能是C|C
答案无法确定。|
没有答案|
<think>选A？不对。</think>选B|B
<think>\n答案是A\n</think>\n\n答案是B|B
<think></think>\n\nB|B
Thought: maybe A.\nFinal: B|B
""".strip()
ROWS = [line.rpartition("|")[::2] for line in REPLIES.split("\n")]


@pytest.mark.parametrize(("reply", "letter"), ROWS)
def test_reply(reply: str, letter: str) -> None:
    text = reply.replace("\\n", "\n")
    assert read_choice(text, ("red", "green", "blue", "grey")) == letter
    assert read_choice(text) == letter


@pytest.mark.parametrize("said", ["Answer: B) green", "B. It is a mix.", "答案：B"])
@pytest.mark.parametrize("following", ["Question: What is warm?\nAnswer: C", "问题：哪个暖？\n答案：C"])
def test_another_question_that_a_reply_asks_itself_is_not_read(said: str, following: str) -> None:
    assert read_choice(f"{said}\n\n{following}", ("red", "green", "blue", "grey")) == "B"
