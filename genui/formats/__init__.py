"""What a saved generation carries: the recipe that makes it again, and the files it is in.

The app and the shell both write and read these files, so nothing here knows torch or Textual.
"""
