# SPDX-License-Identifier: Apache-2.0
"""A tier behind its breaker: what fails is left alone, what hangs holds few threads, everything is counted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from pytrace_cas.store import DigestMismatch
from pytrace_cas.upstream.breaker import Breaker
from pytrace_cas.upstream.tier import WAITING, BlobAbsent, TierFailed, TierRefused, TierSkipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.services.backing import Writer
    from pytrace_cas.upstream.metrics import TierMetrics
    from pytrace_cas.upstream.tier import Tier

T = TypeVar("T")

_SLOT_SECONDS = 1.0  # a call that finds so many under way waits so long for one to end


class NotServed(TierRefused):
    """The tier holds no blobs of that digest function."""


class Guarded:
    """The methods of a tier; each raises what the tier's raises, and `TierSkipped`. Any thread may call."""

    def __init__(self, tier: Tier, metrics: TierMetrics, breaker: Breaker | None = None) -> None:
        self.name = tier.name
        self.breaker = breaker or Breaker()
        self._tier = tier
        self._metrics = metrics
        self._slots = threading.BoundedSemaphore(WAITING)

    def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
        """Those that are not there."""
        return self._ask("contains", function, lambda: self._tier.missing(function, digests)) if digests else []

    def find(self, function: DigestFunction, hash: str) -> Digest | None:
        """Digest of the blob with that hash."""
        return self._ask("find", function, lambda: self._tier.find(function, hash))

    def read(self, function: DigestFunction, digest: Digest, writer: Writer) -> None:
        """Let a writer take a blob and commit it; raise `BlobAbsent`, and what the writer raises."""

        def sink(chunk: bytes) -> None:
            self._metrics.moved("read", len(chunk))
            writer.write(chunk)

        def read() -> None:
            self._tier.read(function, digest, sink)
            writer.commit()

        self._ask("read", function, read)

    def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
        """Store a blob; what `chunks` raises is raised, and is not the tier's fault."""
        source = _Source(chunks)

        def write() -> None:
            try:
                self._tier.write(function, digest, source)
            except Exception:
                if source.failure is not None:
                    raise source.failure from None
                raise

        self._ask("write", function, write)
        self._metrics.moved("written", digest.size_bytes)

    def get_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None:
        """A result's message."""
        return self._ask("get_result", function, lambda: self._tier.get_result(function, instance, digest))

    def put_result(self, function: DigestFunction, instance: str, digest: Digest, message: bytes) -> None:
        """Store a result's message."""
        self._ask("put_result", function, lambda: self._tier.put_result(function, instance, digest, message))

    def close(self) -> None:
        """Let go of the connections."""
        self._tier.close()

    def _ask(self, method: str, function: DigestFunction, call: Callable[[], T]) -> T:
        if not self._slots.acquire(timeout=_SLOT_SECONDS):
            raise self._skipped(method, "busy")
        try:
            if not self.breaker.admits():
                raise self._skipped(method, "open")
            return self._admitted(method, function, call)
        finally:
            self._slots.release()

    def _admitted(self, method: str, function: DigestFunction, call: Callable[[], T]) -> T:
        status = "ok"
        try:
            if not self._tier.serves(function):
                raise NotServed(self.name, f"it holds no blobs of {function.name}")
            answer = call()
            if answer is None and method in ("find", "get_result"):
                status = "miss"
            return answer
        except TierFailed:
            status = "error"
            raise
        except BlobAbsent:
            status = "miss"
            raise
        except NotServed:
            status = "unserved"
            raise
        except TierRefused:
            status = "refused"
            raise
        except DigestMismatch:
            status = "mismatch"
            raise
        except BaseException:
            status = "here"  # what failed is on this side
            raise
        finally:
            (self.breaker.failed if status == "error" else self.breaker.succeeded)()
            self._metrics.asked(method, status)

    def _skipped(self, method: str, status: str) -> TierSkipped:
        self._metrics.asked(method, status)
        return TierSkipped(self.name, status)


class _Source:
    """Chunks, and what went wrong when they were read: libraries that iterate say that in their own way."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.failure: Exception | None = None

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
