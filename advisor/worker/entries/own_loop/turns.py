"""The taking of turns by two threads: that of the commands and that of the script."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Generic, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Turns(Generic[Question, Answer]):
    """While one of two threads runs, the other waits for it."""

    def __init__(self) -> None:
        self._questions: SimpleQueue[Question] = SimpleQueue()
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    def ask(self, question: Question) -> Answer:
        """Let the other thread run, and return its answer."""
        self.tell(question)
        return self.answer()

    def tell(self, question: Question) -> None:
        """Let the other thread run, and do not wait for it."""
        self._questions.put(question)

    def answer(self) -> Answer:
        """Wait for the other thread's answer."""
        return self._answers.get()

    def give(self, answer: Answer) -> None:
        """Answer, and do not wait for the next question."""
        self._answers.put(answer)

    def question(self) -> Question:
        """Wait for the next question."""
        return self._questions.get()
