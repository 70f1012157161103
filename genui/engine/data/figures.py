"""The icons that clips are made of: plain ones, told apart when they are fourteen pixels wide."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIGURES = _words(
    """
    airplane anchor anvil apple axe balloon bat bell bird bone book bowl bread broom brush bucket
    bus cactus candle candy car carrot cat cheese cherries church circle clock cloud cog cookie
    cow crown croissant cupcake diamond dog dolphin donkey drumstick duck egg elephant feather
    fire fish flag flash flask flower fork ghost guitar hammer hat heart helicopter hexagon home
    horse hook human kangaroo kettlebell key kite knife lamp laptop leaf lighthouse lightbulb
    lipstick lock lungs magnet medal microphone moon motorbike mouse mug muffin mushroom music
    mustache nail owl panda pear peanut pencil penguin phone pickaxe pig pin pinwheel pistol
    pizza pumpkin purse puzzle rabbit robot rocket rodent sack saxophone scissors scooter
    screwdriver seal shark sheep shield shirt shoe shovel shuriken skateboard skull snail snake
    snowflake snowman spear spider spoon star stocking sun sunglasses sword telescope television
    tie toothbrush tooth torch tortoise tractor train tree triangle trophy truck trumpet tulip
    turtle ufo umbrella unicorn violin volcano watch water whistle wrench
    """
)
"""Names of icons, each a single word."""

ROUND = frozenset(
    _words("bone candy circle clock cog hexagon pinwheel shuriken snowflake star sun watch")
)
"""Those that look alike turned by some angle: they are never shown turning."""
