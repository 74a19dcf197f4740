"""Hints: a byte that wakes one idle worker, and never an error for who sends it."""

from __future__ import annotations

import os
import select
import stat
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from litequeue.storage import hints
from litequeue.storage.hints import Hints, Listener, fifo_path
from tests.storage.files import JOB, FileCase
from tests.support import together


@unittest.skipUnless(hints.supported(), "this system has no FIFOs")
class TestHints(FileCase):
    def listener(self, *queues: str) -> Listener:
        listener = Listener(str(self.path), queues or ("default",))
        self.addCleanup(listener.close)
        return listener

    def hints(self) -> Hints:
        found = Hints(str(self.path))
        self.addCleanup(found.close)
        return found

    def tokens(self, listener: Listener) -> int:
        """How many tokens wait, all taken."""
        count = 0
        while ready := select.select(list(listener.pipes), [], [], 0)[0]:
            for pipe in ready:
                listener.take(pipe)
                count += 1
        return count

    def test_one_hint_is_one_token(self) -> None:
        listener, sender = self.listener(), self.hints()
        sender.send(["default"])
        sender.send(["default"])
        self.assertEqual(self.tokens(listener), 2)

    def test_each_queue_has_its_own(self) -> None:
        listener, sender = self.listener("mail"), self.hints()
        sender.send(["default", "other"])
        self.assertEqual(self.tokens(listener), 0)
        sender.send({"mail", "default"})
        self.assertEqual(self.tokens(listener), 1)

    def test_two_workers_share_the_tokens(self) -> None:
        first, second = self.listener(), self.listener()
        self.hints().send(["default"])
        self.assertEqual(self.tokens(first) + self.tokens(second), 1)

    def test_a_token_that_another_took_is_no_matter(self) -> None:
        listener = self.listener()
        for pipe in listener.pipes:
            listener.take(pipe)
        self.assertEqual(self.tokens(listener), 0)

    def test_who_looks_for_himself_takes_all_of_them(self) -> None:
        listener, sender = self.listener("mail", "other"), self.hints()
        for _ in range(3):
            sender.send(["mail", "other"])
        self.assertTrue(listener.take_all())
        self.assertEqual(self.tokens(listener), 0)
        self.assertFalse(listener.take_all())

    def test_nobody_listening_is_no_matter(self) -> None:
        sender = self.hints()
        sender.send(["default"])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_pipe_that_is_full_is_no_matter(self) -> None:
        listener, sender = self.listener(), self.hints()
        (pipe,) = listener.pipes
        while select.select([], [pipe], [], 0)[1]:
            os.write(pipe, b"!" * 4096)
        sender.send(["default"])
        self.assertGreater(len(os.read(pipe, 100)), 0)

    def test_no_trouble_with_a_pipe_is_the_senders(self) -> None:
        path = fifo_path(str(self.path), "default")
        os.symlink(self.folder / "victim", path)
        with self.assertLogs("litequeue", "INFO"):
            self.hints().send(["default"])
        refused = mock.patch.object(os, "open", side_effect=OSError(24, "Too many open files"))
        with refused, self.assertLogs("litequeue", "INFO") as logged:
            self.hints().send(["default"])
        self.assertRegex(logged.output[0], "no worker can be woken through it: .*Too many open files")
        self.assertFalse((self.folder / "victim").exists())

    def test_a_new_listener_is_found_after_the_old_one_left(self) -> None:
        sender = self.hints()
        old = Listener(str(self.path), ["default"])
        sender.send(["default"])
        old.close()
        new = self.listener()
        sender.send(["default"])
        self.assertEqual(self.tokens(new), 1)

    def test_the_pipe_is_the_owners_and_goes_with_the_last_listener(self) -> None:
        first, second = Listener(str(self.path), ["a"]), Listener(str(self.path), ["a"])
        path = fifo_path(str(self.path), "a")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        first.close()
        self.assertTrue(os.path.exists(path))
        second.close()
        self.assertFalse(os.path.exists(path))

    def test_a_file_in_the_place_of_the_pipe_is_left_alone(self) -> None:
        path = Path(fifo_path(str(self.path), "default"))
        path.write_text("mine")
        with self.assertLogs("litequeue", "INFO"):
            self.assertEqual(self.listener().pipes, {})
            self.hints().send(["default"])
        self.assertEqual(path.read_text(), "mine")

    def test_where_there_are_no_pipes_there_are_no_hints(self) -> None:
        refused = mock.patch.object(os, "mkfifo", side_effect=PermissionError(1, "Operation not permitted"))
        with refused, self.assertLogs("litequeue", "INFO"):
            self.assertEqual(self.listener().pipes, {})
        self.assertEqual(Listener(None, ["default"]).pipes, {})
        Hints(None).send(["default"])

    def test_threads_open_one_pipe_together(self) -> None:
        listener, sender = self.listener(), self.hints()
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        together(8, lambda _: sender.send(["default"] * 50))
        after = len(os.listdir("/proc/self/fd")) if before else 1
        self.assertEqual((after - before, self.tokens(listener)), (1, 400))

    def test_an_enqueue_wakes(self) -> None:
        listener, store = self.listener(), self.store()
        self.enqueue(store, 3)
        self.assertEqual(self.tokens(listener), 1)
        store.pause("default")
        store.resume("default")
        self.assertEqual(self.tokens(listener), 1)

    def test_who_is_woken_finds_what_it_was_woken_for(self) -> None:
        store, seen = self.store(), []
        send = store.database.hints.send

        def look_and_send(queues: Any) -> None:
            seen.append(len(self.stored_ids()))
            send(queues)

        with mock.patch.object(store.database.hints, "send", look_and_send):
            self.enqueue(store)
            self.enqueue(store, 2)
            store.enqueue_flow([JOB])
        self.assertEqual(seen, [1, 3, 4])

    def test_inside_a_transaction_nobody_is_woken_too_early(self) -> None:
        listener, store = self.listener(), self.store()
        connection = store.database.begin()
        with store.database.joining(connection):
            self.enqueue(store)
        self.assertEqual(self.tokens(listener), 0)
        store.database.finish(connection, commit=True)
