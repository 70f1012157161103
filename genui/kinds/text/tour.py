"""The station of the Text pane in the tour."""

from genui.ui.tour import MODELS, Place, Step, has_begun

TEXT = Place("{app.text} for Text: ", lambda now: now.pane == "text" and now.full)

STEPS = (
    Step(
        "Models are listed by what they make. Go to shakespeare with ↑↓, then {models.play}: it "
        "writes a play.",
        lambda now, start: has_begun(now.trace("text"), start.trace("text")),
        place=MODELS,
    ),
    Step(
        "{app.text} fills the screen with Text. Green tokens were expected, red ones surprising; "
        "the odds are beside them.",
        lambda now, start: TEXT.holds(now),
    ),
    Step(
        "{text.play} pauses, {text.back} goes back a token. Every generation is a timeline that "
        "keeps its steps.",
        lambda now, start: now.trace("text").went_back,
        place=TEXT,
    ),
    Step(
        "↑↓ choose another token here, Enter continues with it. The first text stays as a branch: "
        "{text.branches} lists them.",
        lambda now, start: (
            now.trace("text").forked and now.trace("text").branch != start.trace("text").branch
        ),
        place=TEXT,
    ),
    Step(
        "{text.settings} goes to the settings: ↑↓ choose one, {settings.more} raises it. "
        "Higher temperatures pick less likely words.",
        lambda now, start: now.trace("text").settings != start.trace("text").settings,
        place=TEXT,
    ),
)
