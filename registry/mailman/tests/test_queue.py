import logging
import unittest
from email.message import Message

from permalink_milter_archiver.errors import Later, Refused
from permalink_milter_archiver.queue import Pause, Queue


class Switchboard:
    """A switchboard in memory, with what a queue uses of Mailman's."""

    def __init__(self):
        self.waiting, self.taken, self.bad, self.serial = {}, {}, {}, 0

    @property
    def files(self):
        return sorted(self.waiting)

    def enqueue(self, msg, data):
        self.serial += 1
        self.waiting[self.serial] = (msg, data)

    def dequeue(self, key):
        self.taken[key] = self.waiting.pop(key)
        return self.taken[key]

    def finish(self, key, preserve=False):
        done = self.taken.pop(key)
        if preserve:
            self.bad[key] = done

    def recover_backup_files(self):
        self.waiting.update(self.taken)
        self.taken.clear()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


class QueueTest(unittest.TestCase):
    def setUp(self):
        logging.getLogger("mailman.archiver").disabled = True
        self.addCleanup(setattr, logging.getLogger("mailman.archiver"), "disabled", False)
        self.board, self.clock, self.tried, self.answer = Switchboard(), Clock(), [], None
        self.pause = Pause(self.clock)

    def queue(self, limit=10):
        # A new one each time, since Mailman makes a new archiver for each message.
        return Queue(self.board, limit, self.pause, 60)

    def archive(self, *names, limit=10):
        for name in names:
            msg = Message()
            msg["Message-ID"] = name
            self.queue(limit).add(msg, {"list": "devel@h"})
            self.queue(limit).run(self.deliver)

    def deliver(self, msg, data):
        self.tried.append(msg["message-id"])
        if self.answer is not None:
            raise self.answer

    def test_a_message_is_delivered_and_forgotten(self):
        self.archive("a", "b")
        self.assertEqual(self.tried, ["a", "b"])
        self.assertEqual((self.board.waiting, self.board.taken, self.board.bad), ({}, {}, {}))

    def test_while_the_other_side_is_down_one_message_a_minute_is_tried(self):
        self.answer = Later("down")
        self.archive("a", "b", "c")
        self.assertEqual(self.tried, ["a"])
        self.clock.now = 61
        self.archive("d")
        self.assertEqual(self.tried, ["a", "a"])
        self.clock.now = 122
        self.archive("e")
        self.assertEqual(self.tried, ["a", "a", "b"])
        self.assertEqual(len(self.board.waiting), 5)

    def test_what_waited_is_delivered_with_the_next_message(self):
        self.answer = Later("down")
        self.archive("a", "b")
        self.clock.now, self.answer, self.tried = 61, None, []
        self.archive("c")
        self.assertEqual(sorted(self.tried), ["a", "b", "c"])
        self.assertEqual(self.board.waiting, {})

    def test_a_slow_server_does_not_keep_the_runner(self):
        for _ in range(5):
            self.board.enqueue(Message(), {})

        def slow(msg, data):
            self.clock.now += 11

        self.queue().run(slow)
        self.assertEqual(len(self.board.waiting), 3)

    def test_a_refused_message_is_kept_aside_and_stops_no_other(self):
        for answer in (Refused("no"), RuntimeError("a bug")):
            with self.subTest(type(answer).__name__):
                self.setUp()
                self.answer = answer
                self.archive("a", "b")
                self.assertEqual(self.tried, ["a", "b"])
                self.assertEqual((len(self.board.bad), self.board.waiting), (2, {}))

    def test_a_full_queue_takes_no_more(self):
        self.answer = Later("down")
        self.archive("a", "b", "c", limit=2)
        self.assertEqual(len(self.board.waiting), 2)

    def test_a_message_of_a_killed_runner_is_delivered(self):
        self.board.enqueue(Message(), {})
        self.board.dequeue(1)
        self.queue().run(self.deliver)
        self.assertEqual(len(self.tried), 1)

    def test_another_runner_may_be_faster(self):
        self.board.enqueue(Message(), {})
        self.board.dequeue = lambda key: (_ for _ in ()).throw(FileNotFoundError())
        self.queue().run(self.deliver)
        self.assertEqual((self.tried, self.board.bad), ([], {}))

    def test_an_unreadable_file_is_kept_aside(self):
        self.board.enqueue(Message(), {})
        take = self.board.dequeue

        def broken(key):
            take(key)
            raise EOFError

        self.board.dequeue = broken
        self.queue().run(self.deliver)
        self.assertEqual(len(self.board.bad), 1)


if __name__ == "__main__":
    unittest.main()
