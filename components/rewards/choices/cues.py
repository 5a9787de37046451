"""The words around a letter that say whether it is the answer, in English and in Chinese.

All of them match the text right before a letter (they end in `$`) or right after it (they begin with `^`), within one
sentence of plain text (`plain` in read_choice.py).
"""

import re

_I = re.IGNORECASE

_NOUN = r"(?:answers?|choice|option|response|selection|solution|letter|pick|alternative|conclusion|verdict|final)"
_MODAL = r"(?:would|should|must|could|can|might|may|will|has to|have to|ought to)"
_BE = rf"(?:is|are|was|{_MODAL}(?: only| also)? be|be|[:=]|->|→|—|–|-)"
_SURE = (
    r"(?:definitely|clearly|certainly|indeed|simply|obviously|therefore|thus|then|hence|surely|actually|probably|likely"
    r"|most likely|really|just|also|only|still|in fact|of course|undoubtedly|now)"
)
_NAMED = r"(?:the )?(?:(?:correct|right|best|final) )?(?:answer|option|choice|letter|alternative|statement|number)?\s*"
_QUOTE = r"[\s\"'(\[{<,:]*"
_ITEM = rf"(?:选?项|答案)?\s*{_QUOTE}"

_ANSWER_IS = (
    # "the answer is B", "Answer: B", "the correct option would be (B)"
    rf"\b{_NOUN}\b[\"']?(?: (?:to|for) [^,.;:]{{1,60}}| here| chosen| selected| i choose)?(?:[\s,]*{_SURE})*[\s,]*"
    rf"{_BE}(?![A-Za-z])(?:[\s,]*(?:{_SURE}|{_BE})(?![A-Za-z]))*{_QUOTE}{_NAMED}{_QUOTE}"
    # "answer B", "Ans. B"
    rf"|\b(?:answers?|ans)\b[.\s]*{_QUOTE}"
    # "the best is B", "the correct one is B"
    rf"|\b(?:best|correct|right|true)(?: one| fit| match| statement)?\s+(?:is|would be|must be)\s+{_NAMED}{_QUOTE}"
)
_CHOSEN = (
    # "I choose B", "go with B", "select option B", "corresponds to B"
    r"\b(?:choos(?:e|ing)|chose|select(?:ing|ed)?|pick(?:ing|ed)?|(?:go|going|went) (?:with|for)|opt(?:ing)? for"
    rf"|tak(?:e|ing)|vote for|settl(?:e|ing) on|mark|corresponds to|matches)\s+{_NAMED}{_QUOTE}"
    # "not A but B"
    rf"|\bnot\b[^.]{{1,40}}\bbut\s+(?:rather\s+|instead\s+)?{_NAMED}{_QUOTE}"
)
_CHINESE_ANSWER_IS = (
    # 答案是B, 答案:B
    rf"答案\s*(?:应该|应当|应|就|只能|显然|确实|必然|一定)*\s*(?:是|为|选择?|[:=])*{_QUOTE}{_ITEM}"
    # 选B, 故选B, 应选择B
    rf"|选\s*(?:择|取|定)?\s*(?:的?是|[:=])?{_QUOTE}{_ITEM}"
    # 而是B, 正确的是B, 错误的是B (the question's own words)
    rf"|(?:而是|的(?:选项|答案|说法|一项|叙述|描述)?(?:应该|应当|应)?(?:是|为))\s*:?{_QUOTE}{_ITEM}"
)
STATES = re.compile(rf"(?:{_ANSWER_IS}|{_CHOSEN}|{_CHINESE_ANSWER_IS})$", _I)
"""The letter is named as the answer."""

STATES_LATER = re.compile(
    rf"\b(?<!wrong )(?<!incorrect ){_NOUN}\b[^,.;:]{{0,40}}?\s(?:is|would be|must be|should be)\s+"
    r"(?P<between>.{1,60})$",
    _I,
)
"""As `STATES`, with words between: "the answer is a bit subtle: C"."""

CONCLUDES = re.compile(
    rf"(?:\b(?:it|this|that|which|we have|one)(?:'s| {_BE})(?:[\s,]+{_SURE})*\s+{_NAMED}{_QUOTE}"
    rf"|\b(?:must|has to|can only|should) be\s+{_NAMED}{_QUOTE}"
    rf"|\bleav(?:es|ing)(?: us)?(?: only)?(?: with)?\s+(?:only )?{_NAMED}{_QUOTE}"
    rf"|\b(?:so|therefore|thus|hence|consequently|conclusion|then)\b[\s,:]*{_NAMED}{_QUOTE}"
    rf"|(?:应该|应当|应|所以|因此|故|只能|只有|就|(?<!不)是|为|剩下)\s*(?:是|为|选)?\s*[:,]?\s*{_ITEM})$",
    _I,
)
"""The letter is concluded: "it must be C", "so B", 应该是C."""

CONNECTIVE_ALONE = re.compile(
    rf"\b(?:so|therefore|thus|hence|consequently|then)\b[\s,:]*{_NAMED}{_QUOTE}$|(?:所以|因此|故|就)\s*[:,]?\s*$", _I
)
"""A conclusion by a mere connective counts only where the clause ends after the letter."""
CLAUSE_ENDS = re.compile(r"^[\"')\]}>]*\s*(?:$|[.,;:!。；]|\b(?:because|since|as|for|due|by|here|too|then)\b|因为)", _I)

_NOT_WORDS = (
    r"(?:[\s,\"'(\[]|'s\b|\b(?:to|be|been|it|is|was|that|this|the|(?-i:an?)|correct|right|best|answer|options?|choices?"
    r"|letters?|statements?|either|both|simply|just|really|think|believe|say|choose|choosing|select|selecting|pick"
    r"|picking|go(?:ing)? with|out|any of|only|correctly)\b)*"
)
_NOT = (
    r"(?:\b(?:not|never|neither|nor|cannot|none of|nothing like|rather than|instead of|as opposed to|unlike|unlikely"
    r"|doubt|except(?: for)?|other than|anything but|excludes?|excluding|eliminat(?:e|es|ed|ing)|reject(?:s|ed|ing)?"
    r"|dismiss(?:es|ed|ing)?|discard(?:s|ed|ing)?|rul(?:e|es|ed|ing) out|cross(?:es|ed|ing)? out|avoid(?:ing)?)\b|n't)"
)
_WRONG_ANSWER_IS = (
    r"\b(?:wrong|incorrect|false|bad|tempting)\s+(?:answers?|options?|choices?|alternatives?)\s*"
    rf"(?:is|are|was|were|would be|includ\w+|[:=])*\s*{_QUOTE}"
)
_CHINESE_NOT = (
    r"(?:不是|不选择?|不应选|不应该选|不能选|别选|不会是|不可能是|不能是|不应是|不应该是|不该是|并非|而非|非|排除|误选|错选|不为|不包括|不等于)"
    r"\s*(?:了)?\s*(?:选?项|答案)?\s*[\"'(]*"
)
REFUTES = re.compile(rf"(?:{_NOT}{_NOT_WORDS}|{_WRONG_ANSWER_IS}|{_CHINESE_NOT})$", _I)
"""The letter is said not to be the answer."""

_GAP = r"^[\"')\]}>]*\s*"
_ASIDE = r"(?:\([^)]*\)\s*)?"
_HOW = (
    r"(?:\s*\b(?:also|both|all|simply|clearly|obviously|definitely|just|therefore|thus|then|likely|probably|the|an?|most"
    r"|more|very|quite|too|so|only|completely|partially|partly|totally|equally|actually|indeed|still|plainly|certainly"
    r"|surely|really)\b)*\s*"
)
_WRONG = (
    r"(?:incorrect|wrong|false|out\b|invalid|untrue|inaccurate|implausible|impossible|irrelevant|mistaken|nonsense"
    r"|eliminated|excluded|rejected|ruled out|unlikely|insufficient|unrelated|misleading|off\b|bad\b"
    r"|(?:common |plausible |tempting |typical |classic )?(?:distractor|trap|mistake|misconception)"
    r"|(?:small|large|big|low|high|long|short|dark|light|weak|strong|broad|narrow|vague|extreme|general|specific)\b)"
)
_SEEMS = (
    r"(?:is|are|was|were|seems?|looks?|appears?|(?:would|can|could|must|should|will) be|turns? out to be|being|to be)"
)
_IS_NOT = (
    r"(?:is|are|was|were|do|does|did|can|could|would|should|will|has|have)(?:n't| not)\b|cannot\b"
    r"|(?:is|are) (?:no longer|not)\b|never\b|(?:fails?|lacks?|ignores?|contradicts?|misses|violates?|overlooks?"
    r"|confuses)\b"
    r"|(?:can|could|may|must|should) be (?:eliminated|excluded|ruled out|discarded|dismissed|rejected)"
)
_MARKED_WRONG = (
    r"[:(,—–-]+\s*(?:this |it |that |is |are |all |both )*"
    r"(?:incorrect|wrong|false|not (?:correct|right|true)|ruled out|no\b)|[:(—–-]*\s*[✗✘×❌]"
)
_CHINESE_SUBJECT = r"选?项|的?说法|的?表述|的?叙述|的?描述"
_CHINESE_NO = (
    r"不(?:太)?(?:对|正确|符合|符|成立|行|是|可能|能|会|合|属于|满足|同|够|合理|恰当|准确|妥|当|可以|可|应|该|成|全面|完整|严谨"
    r"|选(?!择?[A-Ja-j]))|错|有误|排除|有问题|被排除|可(?:以)?排除|[×✗]|误"
)
IS_WRONG = re.compile(
    rf"{_GAP}{_ASIDE}(?:{_SEEMS}(?:n't| not)?{_HOW}(?:{_WRONG}|(?<=n't )|(?<=not ))|{_IS_NOT}|{_MARKED_WRONG}"
    rf"|(?:{_CHINESE_SUBJECT}|两项|三项|二者|[:]|\s|也|都|均|就|显然|明显|全|是|则|完全|并|皆)*(?:{_CHINESE_NO})"
    r"|,\s*(?:不对|不正确|错误|错))",
    _I,
)
"""The letter is said to be wrong."""
_FITS = r"fits|matches|works\b|makes (?:the most )?sense|remains\b|it is\b(?=[.!]?$)"
_RIGHT = (
    r"(?:correct|right|true\b|accurate|valid|answer|best|better|preferable|closest|appropriate|suitable"
    r"|one (?:that|which|we)|(?:solution|choice|option|match|fit)\b|left\b)"
)
IS_RIGHT = re.compile(
    rf"{_GAP}(?!\s*(?:is|are|seems?|looks?) (?:only |just )?(?:partial|partly|half)){_ASIDE}"
    rf"(?:(?:is|are|was|seems?|looks?|appears?|(?:would|must|should|has to|can only) be|remains?){_HOW}{_RIGHT}|{_FITS}"
    r"|[:(,—–-]+\s*(?:this |it |is )*(?:correct|right|true)\b|[:(—–-]*\s*[✓✔✅]"
    rf"|(?:{_CHINESE_SUBJECT}|[:,]|\s|是|最|才|完全|显然|应该|应当|都|均|则|为|更)*"
    r"(?:正确|对(?!比|应|于|象|面|称|照)|符合|成立|合理|恰当|答案|准确|合适|无误|[✓√]))",
    _I,
)
"""The letter is said to be right."""
IS_THE_ANSWER = re.compile(
    rf"{_GAP}{_ASIDE}(?:is|are|was|must be|would be|should be|has to be){_HOW}"
    r"(?:(?:correct|right|best|final|only|correct and complete|possible|most appropriate) )*"
    r"(?:answer|one to (?:choose|pick)|option|choice)\b"
    r"|^[\"')\]}>]*\s*(?:选?项)?\s*(?:就|才)?(?:是|为)(?:正确|本题|最终|最佳)*的?答案",
    _I,
)
VERDICT = re.compile(
    r"^[\"')\].]*(?:\?\s*|\s*[-:–—]\s*|\s+)(?:is )?(?:(?P<right>yes|right|correct|true)|(?:no|wrong|incorrect|false))\b"
    r"(?=\s*(?:[.,;!(\n]|$))",
    _I,
)
"""A verdict right after the letter: "A? No. B - yes."."""
_REST = r"^[).:\]、,\s]*(?:(?!(?-i:[A-J])\b)[^\n]){0,80}?[:(—–-]+\s*(?:this |it |that |is )*"
ITEM_IS_WRONG = re.compile(rf"{_REST}(?:{_WRONG}|not\b|no\b|[✗✘×❌]|不|错)", _I)
"""The rest of a line that begins with a letter, where all choices are listed: "A. red: incorrect"."""
ITEM_IS_RIGHT = re.compile(rf"{_REST}(?:the )?(?:correct|right|true|yes|best|[✓✔✅]|正确|对)", _I)

ALL_BUT = re.compile(
    r"\b(?:all|every|everything|each|any|none|nothing)\b[^.]{0,30}\b(?:but|except(?: for)?|other than|besides)\s+"
    r"(?:for )?(?:the )?(?:options?|choices?|answer)?\s*[\"'(\[]*$|除了?\s*(?:选?项)?$",
    _I,
)
"""Before the only right one: "all options except D are wrong"."""
ALL_WRONG = re.compile(
    rf"^[\"')\]]*[\s,]*(?:is|are|can be|fit|work|hold)?{_HOW}(?:not |n't )?"
    rf"(?:{_WRONG}|correct|right|true|fits?|works?|holds?)"
    r"|^\s*(?:选?项)?(?:之外|以外|外)?.{0,12}(?:错|不)",
    _I,
)

HEDGES = re.compile(
    r"\b(?:maybe|perhaps|might|may be|could|possibly|at first|initially|tempt(?:ed|ing)|first thought|one might|if"
    r"|students|people|others|some|many|suppose|assume|unless|would have been|seem|seems|seemed)\b"
    r"|可能|也许|或许|如果|假设|若|乍看|似乎|好像|看似|有人|同学|学生",
    _I,
)
"""The statement is weaker than one without these words."""
CLAUSE_BEGINS = re.compile(r"\b(?:but|however|though|yet)\b|但|然而|不过|;|,\s*(?=so\b|therefore\b|所以|因此)", _I)
"""Where a hedge before it no longer applies."""
WOULD_BE = re.compile(r"\bwould\b", _I)
CONDITION = re.compile(r"^[^.,;]*\b(?:if|unless|had)\b|^[^.;]*,\s*(?:if|unless|had)\b", _I)
"""After a letter that would be the answer under another condition."""

CORRECTS = re.compile(
    r"(?:^|[\s.!?。！？,])(?:wait\b|no wait\b|actually,?\s+(?=it\b|i\b|the\b|that\b|(?-i:[B-J])\b)"
    r"|actually,"
    r"|correction\b|on second thought|scratch that|sorry,|oops|my mistake"
    r"|let me (?:re-?check|reconsider|re-?think|correct)"
    r"|i made (?:a mistake|an error)|i was wrong|等等|等一下|更正|重新(?:考虑|检查|计算)|我(?:错了|搞错了|弄错了))"
    r"|(?:^|[.!?。！？\n])\s*(?:no[,.!:]|不对[,.!。])",
    _I,
)
"""What follows replaces what came before."""

NAMES = re.compile(
    r"\b(?:vitamin|hepatitis|influenza|type|plan|grade|figure|fig|point|group|class|section|angle|set|event|line|side|vertex"
    r"|variable|constant|matrix|vector|force|factor|category|company|country|person|player|team|city|town|train|car|box"
    r"|bag|machine|substance|compound|element|product|process|sample|scenario|level|phase|stage|step|part|appendix|table"
    r"|schedule|blood|note|key|drug|gene|protein|state|series|model|house|node)s?\s+[\"'(]*$"
    r"|(?:维生素|甲|乙|型|点|线段?|角|图|组|级|集合|事件|向量|矩阵)\s*$",
    _I,
)
"""Before a letter that denotes something other than a choice: "vitamin C"."""

_GOES_ON = (
    r"is|isn't|are|aren't|was|and|or|nor|but|because|since|as|so|has|hasn't|seems?|looks?|appears?|lacks?|fails?|cannot|can't"
    r"|can|would|wouldn't|could|must|should|does|doesn't|did|didn't|do|don't|says?|states?|gives?|which|that|while|whereas"
    r"|if|due|for|by|here|then|too|again|clearly|obviously|based|given|according|not|rather|instead|with|only|describes?"
    r"|contradicts?|ignores?|matches|fits|works|makes|refers|represents|best|correctly|incorrectly|contains|satisfies|vs"
    r"|versus|from|in|on|at|over|being|will|won't|also|therefore|thus|hence"
)
ARTICLE = re.compile(rf"^\s+(?!(?:{_GOES_ON})\b)[a-z]")
"""After an `A` that is the article: a word that cannot continue from a choice."""
