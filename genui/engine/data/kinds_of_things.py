"""Which kind of thing an icon or emoji shows, told by the words of its name.

Neither font says it in a form that is on every machine, so these lists are ours: plain words that
stand in the names, and the first kind with one of them in a name has it. A name without any has
no kind, and a classifier neither trains on it nor is tested by it.
"""

from collections.abc import Mapping

from genui.engine.data.captions import split_words

FEWEST = 12  # names of a kind; a rarer one is dropped


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KINDS: Mapping[str, frozenset[str]] = {
    "letter or digit": _words("letter digit latin abugida syllabary"),
    "animal": _words(
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
    "plant": _words(
        """
        blossom bouquet cactus clover fern flower grass hibiscus hyacinth leaf lotus mushroom
        palm pine rose seedling seed shamrock sprout sunflower tree tulip forest barley corn herb
        """
    ),
    "food": _words(
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
    "vehicle": _words(
        """
        aeroplane airplane ambulance automobile bicycle bike boat bus canoe car caravan ferry
        forklift helicopter jeepney lorry metro minibus monorail moped motorbike motorcycle
        rickshaw rocket sailboat scooter ship speedboat submarine subway tank taxi tractor train
        tram tramway trolleybus truck van rail railway atv excavator bulldozer sled plane wagon
        """
    ),
    "weather or sky": _words(
        """
        cloud cloudy comet cyclone fog foggy hail hurricane lightning milky moon planet pouring
        rain rainbow rainy snow snowflake snowy sun sunny sunrise sunset tornado weather windy
        star stars saturn earth globe
        """
    ),
    "building": _words(
        """
        bank barn bridge building castle church city cityscape factory fort greenhouse
        home hospital hotel house houses hut kaaba lighthouse mosque office school shrine stadium
        store synagogue temple tent tower town warehouse windmill silo skyscraper
        """
    ),
    "face": _words(
        """
        face emoticon smiley cool cry dead devil excited frown happy kiss lol neutral sad sick wink
        """
    ),
    "hand": _words("fingers finger fist hand hands handshake thumb thumbs backhand palms"),
    "person": _words(
        """
        account artist astronaut baby boy child cook detective farmer firefighter girl guard human
        judge mage man mechanic ninja person pilot prince princess scientist singer student teacher
        technologist vampire woman worker zombie elf fairy genie merperson superhero supervillain
        skier snowboarder walk run dance swim
        """
    ),
    "heart": _words("heart hearts"),
    "clothing": _words(
        """
        bikini boot briefs cap coat crown dress glasses gloves goggles hat helmet jeans kimono
        necktie sandal sari scarf shirt shoe shoes shorts sneaker socks swimsuit tie uniform vest
        tuxedo hanger bowtie sunglasses backpack handbag purse
        """
    ),
    "music": _words(
        """
        accordion banjo bugle clef drum flute guitar harp maracas music musical note piano saxophone
        trombone trumpet violin headphone headphones metronome microphone
        """
    ),
    "tool": _words(
        """
        anvil axe broom brush bucket drill hammer knife ladder nail paintbrush pencil pick pliers
        plunger ruler saw scissors screwdriver shovel spade tools toolbox wrench pen crayon
        """
    ),
    "sign or shape": _words(
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
    return next((label for label, theirs in KINDS.items() if not words.isdisjoint(theirs)), "")
