"""Keys of the Page."""

from genui.kinds.text_diffusion.settings import TextDiffusionSettings
from genui.ui.keys import Key, settings_keys, shared, timeline, unbound

KEYS = (
    *timeline("page", "Generate", "step", ten=("ten steps", "Ten steps"),
        start=("beginning", "To the prompt, all else undecided"),
        end=("end", "Generate until every token is decided")),
    Key("page.enter", "enter", "open/pin",
        "Full-screen; there, type over the text from the word at the cursor and pin it",
        footer=False),
    *shared("page", "zoom"),
    Key("page.up", "up,k", "word before",
        "The previous word; in Home, scroll up", action="choose(-1)", footer=False),
    Key("page.down", "down,j", "next word",
        "The next word; in Home, scroll down", action="choose(1)", footer=False),
    Key("page.page_up", "pageup", "scroll up", "Scroll up", action="scroll_text(-5)", footer=False),
    Key("page.page_down", "pagedown", "scroll down", "Scroll down", action="scroll_text(5)",
        footer=False),
    Key("page.erase", "delete,backspace", "erase word",
        "Erase the word at the cursor; it is decided again from the text on both sides"),
    unbound("page.erase_span", "erase_span", "erase a span",
        "Erase a span of tokens, such as 12-40; they are decided again"),
    Key("page.signs", "right_square_bracket,left_square_bracket", "sure/order",
        "Signs under the text: how surely, or in which order, tokens were decided",
        shown="[]"),
    *shared("page", "fork", "branches",
        prompt="Edit the prompt (\\n is a new line; each <FILL> is a gap to be filled)"),
    *shared("page", "reseed", "settings"),
    *settings_keys("page", TextDiffusionSettings),
    *shared("page", "more", "less", "variations", "labels", "favourite", "compare", "save",
        export="Write a replayable text or trace file"),
)  # fmt: skip
