"""The words of the demo's tasks: fixed lists, so that a seed gives the same texts everywhere."""

from typing import Final

NOUN_LIST: Final = """
    ant apple arm axe baby bag ball band bank barn basket bat beach bean bear bed bee bell belt bench bike bird
    boat bone book boot bottle bowl box boy branch bread brick bridge broom brush bucket bus bush button cab cage
    cake camel camp candle cap car card cart castle cat chair chalk chest chin church clock cloud clown club coat
    coin comb cook cork corn cow crab crow crown cup curtain desk dish dog doll door dragon dress drum duck eagle
    ear egg engine eye face farm fence field finger fire flag flame floor flower fork fox frog fruit game garden
    gate ghost giant girl glass glove goat grape guitar hammer hand hat hen hill hook horn horse hotel house
    island jacket jar jet judge jug kettle key king kite lake lamp leg lemon letter lion lizard lock log map mask
    melon mirror monkey moon motor mouth mug nail neck needle nest net nose nurse ocean onion orange oven owl page
    paint pan paper park parrot path pen pencil piano picture pig pilot pin pipe plane plant plate pocket pond
    pool pot queen rabbit rain river road robot rock roof room root rope rose sail salt sand school seat shark
    ship shirt shoe shop skirt sky snail snake soap sock sofa song spider spoon spring star stone stool storm
    street sun table tail tent tiger tower town toy train tree truck turkey turtle uncle wagon wall watch whale
    wheel window wing wolf wood worm yard zebra zoo
    """

NOUNS: Final[tuple[str, ...]] = tuple(NOUN_LIST.split())

ANTONYM_PAIRS: Final = """
    hot/cold big/small tall/short fast/slow happy/sad light/dark early/late open/closed full/empty rich/poor
    strong/weak young/old clean/dirty wet/dry hard/soft loud/quiet near/far high/low up/down left/right good/bad
    true/false first/last inside/outside day/night win/lose buy/sell push/pull start/stop begin/end love/hate
    laugh/cry give/take thick/thin wide/narrow deep/shallow sharp/dull smooth/rough sweet/sour brave/afraid
    cheap/expensive safe/dangerous same/different always/never above/below before/after friend/enemy north/south
    east/west front/back top/bottom awake/asleep alive/dead simple/complex arrive/leave ask/answer float/sink
    rise/fall catch/throw remember/forget polite/rude lazy/busy tight/loose
    """

ANTONYMS: Final[tuple[tuple[str, str], ...]] = tuple(
    (word, opposite) for word, _, opposite in (pair.partition("/") for pair in ANTONYM_PAIRS.split())
)

IRREGULAR_PLURALS: Final[dict[str, str]] = {
    "child": "children",
    "man": "men",
    "woman": "women",
    "mouse": "mice",
    "goose": "geese",
    "tooth": "teeth",
    "foot": "feet",
    "leaf": "leaves",
    "knife": "knives",
    "wife": "wives",
    "wolf": "wolves",
    "sheep": "sheep",
    "person": "people",
    "ox": "oxen",
}

WEEKDAYS: Final[tuple[str, ...]] = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

MONTHS: Final[tuple[str, ...]] = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
