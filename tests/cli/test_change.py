"""`cancel`, `retry`, `delete`, `pause`, `resume` and `prune`."""

from litequeue.job import Fail, Failure, Filter, State, StoredResult
from tests.cli.case import HOUR, MINUTE, NOON, CommandCase

EVERY = Filter()


class TestById(CommandCase):
    def test_cancel(self) -> None:
        self.open()
        self.enqueue()
        ended = self.cli("cancel", self.file, "1")
        self.assertEqual((ended.code, ended.out), (0, "1 job cancelled\n"))
        self.assertEqual(self.reports.job(1).state, State.CANCELLED)

    def test_cancel_asks_a_running_job_to_stop(self) -> None:
        self.open()
        self.enqueue()
        self.claim(self.sign_on())
        self.assertEqual(self.cli("cancel", self.file, "1").code, 0)
        self.assertTrue(self.reports.job(1).cancelling)

    def test_retry_keeps_the_finished_steps_unless_it_is_to_start_afresh(self) -> None:
        self.open()
        worker = self.sign_on()
        ids = [self.enqueue() for _ in range(3)]
        for _ in ids:
            claimed = self.claim(worker)
            self.steps.keep(claimed.lease, "one", StoredResult(None, None))
            self.store.settle(Fail(claimed.lease, Failure("error", "OSError", "no route")))
        self.assertEqual(self.cli("retry", self.file, "1").code, 0)
        self.assertEqual(self.cli("retry", self.file, "2", "--fresh").code, 0)
        self.assertEqual(self.cli("retry", self.file, "--all", "--fresh", "--yes").code, 0)
        self.assertEqual([len(self.steps.all(id)) for id in ids], [1, 0, 0])
        self.assertEqual({str(self.reports.job(id).state) for id in ids}, {"ready"})

    def test_retry(self) -> None:
        self.open()
        self.enqueue()
        self.fail_next(self.sign_on())
        ended = self.cli("retry", self.file, "1")
        self.assertEqual((ended.code, ended.out), (0, "1 job made ready again\n"))
        self.assertEqual((self.reports.job(1).state, self.reports.job(1).failures), (State.READY, 0))

    def test_delete(self) -> None:
        self.open()
        self.enqueue()
        self.enqueue()
        ended = self.cli("delete", self.file, "2", "1", "2", "--json")
        self.assertEqual((ended.code, ended.json), (0, {"changed": 2}))
        self.assertEqual(self.reports.jobs(EVERY), [])

    def test_one_that_is_refused_does_not_keep_the_others(self) -> None:
        self.open()
        self.enqueue()
        self.store.cancel(self.enqueue())
        ended = self.cli("cancel", self.file, "1", "2", "9")
        self.assertEqual((ended.code, ended.out), (1, "1 job cancelled\n"))
        self.assertEqual(
            ended.err.replace(self.file, "FILE"),
            "litequeue: job 2 is cancelled and can not be cancelled any more\n"
            "litequeue: FILE: there is no job 9\n",
        )

    def test_refuses_what_is_no_id_before_it_changes_any(self) -> None:
        self.open()
        self.enqueue()
        for text in ("x", "0", "1.5", "9" * 30, "\N{FULLWIDTH DIGIT ONE}"):
            self.assert_refused(["delete", self.file, "1", text], f"{text!r} is not the id of a job")
        self.assertEqual(self.reports.job(1).state, State.READY)


class TestByFilter(CommandCase):
    def fill(self) -> None:
        """Two failed jobs, one cancelled, one that waits, one that runs."""
        self.open()
        worker = self.sign_on()
        for tag in ("old", "new"):
            self.enqueue(tags=f'["{tag}"]')
            self.fail_next(worker)
            self.clock.pass_time(MINUTE)
        self.store.cancel(self.enqueue("app:mail", "mail"))
        self.enqueue(run_at=NOON + HOUR)
        self.enqueue()
        self.claim(worker)

    def states(self) -> list[str]:
        return [str(job.state) for job in reversed(self.reports.jobs(EVERY))]

    def test_retry_means_failed_jobs_unless_told_otherwise(self) -> None:
        self.fill()
        ended = self.cli("retry", self.file, "--all", "--yes")
        self.assertEqual((ended.code, ended.out), (0, "2 jobs made ready again\n"))
        self.assertEqual(self.states(), ["ready", "ready", "cancelled", "scheduled", "running"])
        self.assertEqual(self.cli("retry", self.file, "--state", "cancelled", "--yes").code, 0)
        self.assertEqual(self.states()[2], "ready")

    def test_cancel_takes_what_is_not_final(self) -> None:
        self.fill()
        ended = self.cli("cancel", self.file, "--all", "--yes", "--json")
        self.assertEqual(ended.json, {"changed": 2})
        self.assertEqual(self.states(), ["failed", "failed", "cancelled", "cancelled", "running"])
        self.assertTrue(self.reports.job(5).cancelling)

    def test_delete_takes_what_does_not_run(self) -> None:
        self.fill()
        self.assertEqual(self.cli("delete", self.file, "--all", "--yes").out, "4 jobs deleted\n")
        self.assertEqual(self.states(), ["running"])

    def test_filters_choose(self) -> None:
        self.fill()
        self.assertEqual(self.cli("delete", self.file, "--tag", "old", "--yes").out, "1 job deleted\n")
        self.assertEqual(
            self.cli("delete", self.file, "--older-than", "30s", "--state", "failed", "--yes").code, 0
        )
        self.assertEqual(
            self.cli("delete", self.file, "--queue", "mail", "--task", "app:mail", "--yes").code, 0
        )
        self.assertEqual(self.states(), ["scheduled", "running"])

    def test_says_no_when_nothing_matches(self) -> None:
        self.fill()
        for argv in (["--tag", "nobody"], ["--state", "completed"], ["--queue", "nobody", "--yes"]):
            ended = self.cli("cancel", self.file, *argv)
            self.assertEqual((ended.code, ended.out, ended.err), (1, "no job was changed\n", ""))

    def test_asks_a_person(self) -> None:
        self.fill()
        for answer, code, count in (("n\n", 1, 2), ("\n", 1, 2), ("", 1, 2), ("yes\n", 0, 0)):
            with self.subTest(answer):
                ended = self.cli("retry", self.file, "--all", answer=answer, is_terminal=True)
                self.assertEqual((ended.code, self.states().count("failed")), (code, count))
                self.assertTrue(ended.err.startswith("retry 2 jobs? [y/N] "))

    def test_needs_a_yes_where_nobody_can_be_asked(self) -> None:
        self.fill()
        self.assert_refused(["delete", self.file, "--all"], "this would delete 4 jobs; add --yes")
        self.assertEqual(len(self.states()), 5)

    def test_wants_to_know_which(self) -> None:
        self.fill()
        self.assert_refused(["delete", self.file], "delete which jobs?")
        self.assert_refused(["delete", self.file, "--yes"], "delete which jobs?")
        self.assert_refused(["delete", self.file, "1", "--all"], "delete which jobs?")
        self.assertEqual(len(self.states()), 5)

    def test_a_tree_is_below_jobs_that_are_named(self) -> None:
        self.fill()
        self.assert_refused(["cancel", self.file, "--all", "--tree", "--yes"], "give their ids")
        self.assertEqual(self.states()[3:], ["scheduled", "running"])

    def test_ids_may_come_after_options(self) -> None:
        self.fill()
        self.assertEqual(self.cli("delete", self.file, "1", "--json", "2").json, {"changed": 2})

    def test_shows_a_bar_to_a_person(self) -> None:
        self.fill()
        ended = self.cli("delete", self.file, "--all", "--yes", is_terminal=True)
        self.assertIn("delete [############################] 4 of 4", ended.err)
        self.assertTrue(ended.err.endswith("\r\x1b[K"))
        self.assertEqual(ended.out, "4 jobs deleted\n")


class TestQueues(CommandCase):
    def test_pause_and_resume(self) -> None:
        self.open()
        self.assertEqual(
            self.cli("pause", self.file, "mail", "web").out, "queue 'mail' is paused\nqueue 'web' is paused\n"
        )
        self.assertEqual(self.reports.paused(), ["mail", "web"])
        ended = self.cli("resume", self.file, "mail", "other")
        self.assertEqual(
            (ended.code, ended.out), (0, "queue 'mail' is open again\nqueue 'other' was not paused\n")
        )
        self.assertEqual(self.reports.paused(), ["web"])

    def test_a_name_that_is_none(self) -> None:
        self.open()
        self.assert_refused(["pause", self.file, "mail", "\x1b"], "the queue's name is")
        self.assertEqual(self.reports.paused(), [])
