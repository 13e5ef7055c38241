"""Passwords as argon2id hashes. The only module that imports argon2."""

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from agent.errors import PortalError
from agent.portal.accounts.strength import weakness_of, words_of

MIN_CHARS, MAX_CHARS = 12, 256
THREADS = 2
MAX_WAITING = 32
STRONG = PasswordHasher()
"""argon2-cffi's default cost, RFC 9106's second recommendation: 64 MiB, 3 passes."""


T = TypeVar("T")


class PasswordError(PortalError):
    """A new password that cannot be taken."""


class BusyError(PortalError):
    """More sign-ins at once than the server hashes."""


def check_new(password: str, name: str, site_words: Collection[str] = ()) -> None:
    """Raises PasswordError where a new password is too weak to keep; takes up to 0.3 s of this thread."""
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise PasswordError(f"A password has {MIN_CHARS} to {MAX_CHARS} characters.")
    if name.casefold() in password.casefold():
        raise PasswordError("That password is too easy to guess: your user name is in it.")
    weakness = weakness_of(password, [*words_of(name), *site_words])
    if weakness:
        raise PasswordError(
            f"That password is too easy to guess. {weakness} Better are four words that nothing connects."
        )


class Passwords:
    """Hashes and checks in two threads of its own, at most 32 waiting: a flood costs bounded memory."""

    def __init__(self, hasher: PasswordHasher = STRONG, site_words: Collection[str] = ()) -> None:
        """`site_words` are the first that somebody tries, who knows whose portal it is."""
        self._hasher = hasher
        self._site_words = site_words
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobody = hasher.hash("nobody has this password")

    def hash_here(self, password: str) -> str:
        """The hash to store; takes about 50 ms of this thread."""
        return self._hasher.hash(password)

    async def hash_new(self, password: str, name: str) -> str:
        """The same elsewhere, of one that somebody chose. Raises PasswordError or BusyError."""
        return await self._run(self._hash_new, password, name)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Say whether it is the right one. Without a stored hash it takes as long, and is wrong.

        Raises BusyError.
        """
        return await self._run(self._verify, stored or self._nobody, password) and stored is not None

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _hash_new(self, password: str, name: str) -> str:
        check_new(password, name, self._site_words)
        return self.hash_here(password)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._waiting >= MAX_WAITING:
            raise BusyError("Too many people are signing in at once. Try again in a moment.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        finally:
            self._waiting -= 1
