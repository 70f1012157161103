"""Labels of images, for classifiers: the caption, or the kind of thing that a name stands for.

The fonts of icons and emoji do not say what kind of thing each shows, so genui has a list of words
for each kind. A name is of the first kind that has one of its words. A name without such a word has
no label: no classifier is trained on it or tested by it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genui.base.errors import MisuseError
from genui.base.plugins import resolve
from genui.engine.data.captions import split_words
from genui.engine.data.images import CaptionedImages, load_images, shuffle_key, with_notes
from genui.recipes.classifier import ImageClassifierRecipe

FEWEST = 12  # names of a kind; a rarer one is dropped


def _label_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS: Mapping[str, frozenset[str]] = {
    "letter or digit": _label_words("letter digit latin abugida syllabary"),
    "animal": _label_words(
        """
        ant badger bat bear beaver bee beetle bird bison blowfish boar bug bugs bull butterfly
        camel cat chick chicken chipmunk cockroach cow crab cricket crocodile deer dodo dog
        dolphin donkey dove dragon duck eagle elephant ewe fish flamingo fly fox frog giraffe goat
        goose gorilla hamster hedgehog hippopotamus honeybee horse jellyfish kangaroo koala ladybug
        leopard lion lizard llama lobster mammoth monkey moose mosquito mouse octopus orangutan orca
        otter owl ox oyster panda parrot peacock penguin phoenix pig poodle rabbit raccoon ram rat
        rhinoceros rooster sauropod scorpion seal shark sheep shrimp skunk sloth snail snake spider
        squid swan tiger turkey turtle turtles unicorn whale wolf worm zebra kiwi bee teddy paw
        """
    ),
    "plant": _label_words(
        """
        blossom bouquet cactus clover fern flower grass hibiscus hyacinth leaf lotus mushroom
        palm pine rose seedling seed shamrock sprout sunflower tree tulip forest barley corn herb
        """
    ),
    "food": _label_words(
        """
        apple avocado bacon bagel baguette banana beans beer pepper bento beverage blueberries
        bread broccoli burger burrito butter cake candy carrot cheese cherries chestnut chocolate
        cocktail coconut coffee cola cookie cooking croissant cucumber cup cupcake curry custard
        dango doughnut dumpling egg eggplant falafel flatbread fondue food fries fruit garlic ginger
        grapes gyoza hamburger honey ice juice lemon lime lollipop mango meat melon milk mug muffin
        noodles nut oden olive onion pancakes pasta pea peach peanut peanuts pear pie pineapple
        pizza popcorn potato pretzel rice salad sandwich shortcake soup spaghetti stew strawberry
        sushi taco tamale tangerine tea toaster tomato vegetable waffle watermelon wine corn citrus
        sausage cherry
        """
    ),
    "vehicle": _label_words(
        """
        aeroplane airplane ambulance automobile bicycle bike boat bus canoe car caravan ferry
        forklift helicopter jeepney lorry metro minibus monorail moped motorbike motorcycle
        rickshaw rocket sailboat scooter ship speedboat submarine subway tank taxi tractor train
        tram tramway trolleybus truck van rail railway atv excavator bulldozer sled plane wagon
        """
    ),
    "weather or sky": _label_words(
        """
        cloud cloudy comet cyclone fog foggy hail hurricane lightning milky moon planet pouring
        rain rainbow rainy snow snowflake snowy sun sunny sunrise sunset tornado weather windy
        star stars saturn earth globe
        """
    ),
    "building": _label_words(
        """
        bank barn bridge building castle church city cityscape factory fort greenhouse
        home hospital hotel house houses hut kaaba lighthouse mosque office school shrine stadium
        store synagogue temple tent tower town warehouse windmill silo skyscraper
        """
    ),
    "face": _label_words(
        """
        face emoticon smiley cool cry dead devil excited frown happy kiss lol neutral sad sick wink
        """
    ),
    "hand": _label_words("fingers finger fist hand hands handshake thumb thumbs backhand palms"),
    "person": _label_words(
        """
        account artist astronaut baby boy child cook detective farmer firefighter girl guard human
        judge mage man mechanic ninja person pilot prince princess scientist singer student teacher
        technologist vampire woman worker zombie elf fairy genie merperson superhero supervillain
        skier snowboarder walk run dance swim
        """
    ),
    "heart": _label_words("heart hearts"),
    "clothing": _label_words(
        """
        bikini boot briefs cap coat crown dress glasses gloves goggles hat helmet jeans kimono
        necktie sandal sari scarf shirt shoe shoes shorts sneaker socks swimsuit tie uniform vest
        tuxedo hanger bowtie sunglasses backpack handbag purse
        """
    ),
    "music": _label_words(
        """
        accordion banjo bugle clef drum flute guitar harp maracas music musical note piano saxophone
        trombone trumpet violin headphone headphones metronome microphone
        """
    ),
    "tool": _label_words(
        """
        anvil axe broom brush bucket drill hammer knife ladder nail paintbrush pencil pick pliers
        plunger ruler saw scissors screwdriver shovel spade tools toolbox wrench pen crayon
        """
    ),
    "sign or shape": _label_words(
        """
        arrow circle cross diamond hexagon octagon pentagon rhombus sign square symbol triangle
        plus minus divide multiply equals chevron angle vector
        """
    ),
}
"""Label to the words that make a name one of its kind, in order of precedence."""


def kind_of_thing(caption: str) -> str:
    """The label of a name, or "" where no list has a word of it."""
    words = frozenset(split_words(caption))
    return next((label for label, of_kind in KINDS.items() if not words.isdisjoint(of_kind)), "")


# --- Images with a label each: what a classifier is trained on and tested by ----------------

TEST_SHARE = 6  # one image in so many is held out where a set has no test set of its own
CAPTION_FEWEST = 2  # images of a caption that is a label


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledImages:
    """Images and the label of each; those without one are in neither part."""

    images: CaptionedImages
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # [N], -1 where an image has no label
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices never trained

    def batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images [B, 3, 32, 32] in -1 to 1, in colours drawn from `rng`, and their labels."""
        return self.images.batch(indices, rng).rgb, self.targets[indices]


def load_labelled_images(dataset: str, data: str = "") -> LabelledImages:
    """The dataset of that name, or the user's folder.

    Labels are the captions, or what the dataset's `label_of` makes of them. Raises MisuseError
    where the labels cannot be learned, and whatever `load_images` raises.
    """
    images = load_images(dataset, data)
    named = images.captions
    if images.label_of:
        named = tuple(map(resolve(images.label_of), images.captions))
    counts = Counter(named)
    fewest = FEWEST if images.label_of else CAPTION_FEWEST
    labels = tuple(dict.fromkeys(name for name in named if name and counts[name] >= fewest))
    where = data or dataset
    if len(counts) == 1:
        raise MisuseError(
            f"{where}: every image is {named[0]!r}; a classifier needs two labels at the least"
        )
    if len(labels) < 2:
        raise MisuseError(
            f"{where}: no two captions stand at {fewest} images or more; "
            "a classifier needs several images of each label"
        )
    number = {label: i for i, label in enumerate(labels)}
    targets = np.array([number.get(name, -1) for name in named], np.int64)
    if images.test_set:
        train, held_out = images.train, images.held_out
    else:
        train, held_out = _split_labelled(targets, images.captions)
    return LabelledImages(
        images=images, labels=labels, targets=targets, train=train, held_out=held_out
    )


def check_labelled_images(recipe: ImageClassifierRecipe) -> str:
    """One line describing the labelled images a recipe would train on, having read them."""
    data = load_labelled_images(recipe.dataset, recipe.data)
    return with_notes(describe(data), data.images.notes)


def describe(data: LabelledImages) -> str:
    """One line for a person."""
    return (
        f"{data.images.name}: {len(data.labels)} labels, {len(data.train):,} images to train "
        f"on, {len(data.held_out):,} held out"
    )


def _split_labelled(
    targets: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out): of each label one in six, chosen by a hash, and one at the least."""
    held: list[int] = []
    for label in range(targets.max() + 1):
        there = np.flatnonzero(targets == label).tolist()
        of = sorted(there, key=lambda i: shuffle_key(f"{names[i]} {i}"))
        held += of[: max(1, len(of) // TEST_SHARE)]
    trained = np.setdiff1d(np.flatnonzero(targets >= 0), held)
    return trained, np.array(sorted(held), np.int64)
