# Waits for something that does not come.
import threading

threading.Event().wait()
