"""The kinds of things that icons and emoji show.

Their fonts do not say it, so there is a list of words for each kind. A name belongs to the first
kind that has one of its words. A name without any has no label and is neither trained on nor
tested.
"""

from collections.abc import Mapping

from genui.engine.data.captions import split_words

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
