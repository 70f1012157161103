"""Labels of images, for classifiers: the caption, or a kind of thing derived from it.

The fonts of icons and emoji do not say what kind of thing each glyph shows, so there is a list of
words for each kind. A name belongs to the first kind that has one of its words. A name without any
has no label and is neither trained on nor tested.
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

FEWEST = 12  # names of a kind; a kind with fewer is dropped


_WORDS = {
    "letter or digit": "letter digit latin abugida syllabary",
    "animal": """
        ant badger bat bear beaver bee beetle bird bison blowfish boar bug bugs bull butterfly
        camel cat chick chicken chipmunk cockroach cow crab cricket crocodile deer dodo dog
        dolphin donkey dove dragon duck eagle elephant ewe fish flamingo fly fox frog giraffe goat
        goose gorilla hamster hedgehog hippopotamus honeybee horse jellyfish kangaroo koala ladybug
        leopard lion lizard llama lobster mammoth monkey moose mosquito mouse octopus orangutan orca
        otter owl ox oyster panda parrot peacock penguin phoenix pig poodle rabbit raccoon ram rat
        rhinoceros rooster sauropod scorpion seal shark sheep shrimp skunk sloth snail snake spider
        squid swan tiger turkey turtle turtles unicorn whale wolf worm zebra kiwi bee teddy paw
        """,
    "plant": """
        blossom bouquet cactus clover fern flower grass hibiscus hyacinth leaf lotus mushroom
        palm pine rose seedling seed shamrock sprout sunflower tree tulip forest barley corn herb
        """,
    "food": """
        apple avocado bacon bagel baguette banana beans beer pepper bento beverage blueberries
        bread broccoli burger burrito butter cake candy carrot cheese cherries chestnut chocolate
        cocktail coconut coffee cola cookie cooking croissant cucumber cup cupcake curry custard
        dango doughnut dumpling egg eggplant falafel flatbread fondue food fries fruit garlic ginger
        grapes gyoza hamburger honey ice juice lemon lime lollipop mango meat melon milk mug muffin
        noodles nut oden olive onion pancakes pasta pea peach peanut peanuts pear pie pineapple
        pizza popcorn potato pretzel rice salad sandwich shortcake soup spaghetti stew strawberry
        sushi taco tamale tangerine tea toaster tomato vegetable waffle watermelon wine corn citrus
        sausage cherry
        """,
    "vehicle": """
        aeroplane airplane ambulance automobile bicycle bike boat bus canoe car caravan ferry
        forklift helicopter jeepney lorry metro minibus monorail moped motorbike motorcycle
        rickshaw rocket sailboat scooter ship speedboat submarine subway tank taxi tractor train
        tram tramway trolleybus truck van rail railway atv excavator bulldozer sled plane wagon
        """,
    "weather or sky": """
        cloud cloudy comet cyclone fog foggy hail hurricane lightning milky moon planet pouring
        rain rainbow rainy snow snowflake snowy sun sunny sunrise sunset tornado weather windy
        star stars saturn earth globe
        """,
    "building": """
        bank barn bridge building castle church city cityscape factory fort greenhouse
        home hospital hotel house houses hut kaaba lighthouse mosque office school shrine stadium
        store synagogue temple tent tower town warehouse windmill silo skyscraper
        """,
    "face": """
        face emoticon smiley cool cry dead devil excited frown happy kiss lol neutral sad sick wink
        """,
    "hand": "fingers finger fist hand hands handshake thumb thumbs backhand palms",
    "person": """
        account artist astronaut baby boy child cook detective farmer firefighter girl guard human
        judge mage man mechanic ninja person pilot prince princess scientist singer student teacher
        technologist vampire woman worker zombie elf fairy genie merperson superhero supervillain
        skier snowboarder walk run dance swim
        """,
    "heart": "heart hearts",
    "clothing": """
        bikini boot briefs cap coat crown dress glasses gloves goggles hat helmet jeans kimono
        necktie sandal sari scarf shirt shoe shoes shorts sneaker socks swimsuit tie uniform vest
        tuxedo hanger bowtie sunglasses backpack handbag purse
        """,
    "music": """
        accordion banjo bugle clef drum flute guitar harp maracas music musical note piano saxophone
        trombone trumpet violin headphone headphones metronome microphone
        """,
    "tool": """
        anvil axe broom brush bucket drill hammer knife ladder nail paintbrush pencil pick pliers
        plunger ruler saw scissors screwdriver shovel spade tools toolbox wrench pen crayon
        """,
    "sign or shape": """
        arrow circle cross diamond hexagon octagon pentagon rhombus sign square symbol triangle
        plus minus divide multiply equals chevron angle vector
        """,
}
LABEL_WORDS: Mapping[str, frozenset[str]] = {
    label: frozenset(words.split()) for label, words in _WORDS.items()
}
"""Label to the words by which a name gets it, in order of precedence."""


def kind_of_thing(caption: str) -> str:
    """The label of a name, or "" if no list has one of its words."""
    words = frozenset(split_words(caption))
    matches = (label for label, listed in LABEL_WORDS.items() if not words.isdisjoint(listed))
    return next(matches, "")


# --- Labelled images --------------------------------------------------------------------------

HELD_OUT_ONE_IN = 6  # if a dataset has no test set of its own
CAPTION_FEWEST = 2  # images of a caption, for it to be a label


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledImages:
    """Images with labels. Images without a label are neither trained on nor held out."""

    images: CaptionedImages
    labels: tuple[str, ...]
    targets: NDArray[np.int64]  # [N], -1 for an image without a label
    train: NDArray[np.int64]  # indices
    held_out: NDArray[np.int64]  # indices never trained

    def batch(
        self, indices: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images [B, 3, 32, 32] in -1 to 1, in random colours, and their labels [B]."""
        return self.images.batch(indices, rng).rgb, self.targets[indices]


def load_labelled_images(dataset: str, data: str = "") -> LabelledImages:
    """Load a dataset, or the user's folder, with labels.

    The labels are the captions, or what the dataset's `label_of` returns for them. Raises
    MisuseError if there are fewer than two usable labels, and whatever `load_images` raises.
    """
    images = load_images(dataset, data)
    label_of_image = images.captions
    if images.label_of:
        label_of_image = tuple(map(resolve(images.label_of), images.captions))
    counts = Counter(label_of_image)
    fewest = FEWEST if images.label_of else CAPTION_FEWEST
    labels = tuple(label for label in counts if label and counts[label] >= fewest)
    source = data or dataset
    if len(counts) == 1:
        raise MisuseError(
            f"{source}: every image is {label_of_image[0]!r}; "
            "a classifier needs two labels at the least"
        )
    if len(labels) < 2:
        raise MisuseError(
            f"{source}: no two captions stand at {fewest} images or more; "
            "a classifier needs several images of each label"
        )
    index_of = {label: i for i, label in enumerate(labels)}
    targets = np.array([index_of.get(label, -1) for label in label_of_image], np.int64)
    if images.test_set:
        train, held_out = images.train, images.held_out
    else:
        train, held_out = _split_labelled(targets, images.captions)
    return LabelledImages(
        images=images, labels=labels, targets=targets, train=train, held_out=held_out
    )


def check_labelled_images(recipe: ImageClassifierRecipe) -> str:
    """Load the labelled images of a recipe and describe them in one line."""
    data = load_labelled_images(recipe.dataset, recipe.data)
    return with_notes(describe(data), data.images.notes)


def describe(data: LabelledImages) -> str:
    """Describe the data in one line."""
    return (
        f"{data.images.name}: {len(data.labels)} labels, {len(data.train):,} images to train "
        f"on, {len(data.held_out):,} held out"
    )


def _split_labelled(
    targets: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(trained, held out) indices: of each label one in six is held out by hash, at least one."""
    held: list[int] = []
    for label in range(targets.max() + 1):
        indices = np.flatnonzero(targets == label).tolist()
        indices.sort(key=lambda i: shuffle_key(f"{names[i]} {i}"))
        held += indices[: max(1, len(indices) // HELD_OUT_ONE_IN)]
    trained = np.setdiff1d(np.flatnonzero(targets >= 0), held)
    return trained, np.array(sorted(held), np.int64)
