# Local modules hold the settings as a dataclass and the loop as a class.
from pieces.loop import Loop
from pieces.settings import Settings

if __name__ == "__main__":
    Loop(Settings()).run()
