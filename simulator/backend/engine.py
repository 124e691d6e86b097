"""The one writer: every call is a transaction on one connection, in one thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from contracts.signing import Audience, Refusal, SignatureRefused, VerifiedCall, Verifier
from simulator.backend.config import BackendConfig
from simulator.backend.database import Database, open_database
from simulator.backend.faults import Faults
from simulator.backend.nonces import Nonces
from simulator.backend.refusal import Refused
from simulator.backend.report import Report
from simulator.backend.work import Work

T = TypeVar("T")


class Engine:
    """Holds the database and runs calls on it. ``clock`` gives unix seconds."""

    def __init__(self, config: BackendConfig, clock: Callable[[], float]) -> None:
        self.config = config
        self.report = Report()
        self.faults = Faults()
        self._clock = clock
        keys = {key_id: secret.get_secret_value() for key_id, secret in config.keys.items()}
        self.verifier = Verifier(Audience.BACKEND, keys, config.signature_window_s, clock)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._database: Database | None = None
        self._nonces: Nonces | None = None

    @property
    def statements(self) -> int:
        """SQL statements executed so far."""
        return 0 if self._database is None else self._database.statements

    async def start(self) -> None:
        await self._in_thread(self._open)

    async def close(self) -> None:
        await self._in_thread(self._close)
        self._thread.shutdown()

    async def signed(self, call: VerifiedCall, operation: Callable[[Work], T]) -> T:
        """Run a signed call's operation. The call's id is kept even if the operation refuses."""
        return await self._in_thread(lambda: self._signed(call, operation))

    async def unsigned(self, operation: Callable[[Work], T]) -> T:
        """Run an operation for one of the public routes."""

        def run() -> T:
            db = self._opened()
            with db.transaction():
                return operation(self._work(db))

        return await self._in_thread(run)

    def _signed(self, call: VerifiedCall, operation: Callable[[Work], T]) -> T:
        db = self._opened()
        try:
            with db.transaction():
                self._claim(call)
                return operation(self._work(db))
        except Refused as refused:
            if not isinstance(refused.code, Refusal):
                with db.transaction():
                    self._claim(call)
            raise

    def _claim(self, call: VerifiedCall) -> None:
        assert self._nonces is not None
        try:
            self._nonces.claim(call.nonce, int(self._clock()))
        except SignatureRefused as refusal:
            raise Refused(refusal.code, str(refusal)) from None

    def _work(self, db: Database) -> Work:
        return Work(db, self.config, self.report, self.faults, int(self._clock() * 1000))

    def _opened(self) -> Database:
        if self._database is None:
            self._open()
        assert self._database is not None
        return self._database

    def _open(self) -> None:
        if self._database is None:
            connection = open_database(self.config.database, self.config.synchronous)
            self._database = Database(connection)
            self._nonces = Nonces(self._database, self.verifier.nonce_ttl_s)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    async def _in_thread(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
