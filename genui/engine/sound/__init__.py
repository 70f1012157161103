"""Sound as a network sees it and back: spectrograms, mels, phases. numpy, no torch."""
