"""A fork: what the parent has started is not the child's, and says so; each process has its own."""

from __future__ import annotations

from .programs import output

WITH_A_HUB = """
    import os, sys, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork with threads: that is what is tested
    from watertight_sse.hub import Broadcaster, get_sse_broadcaster
    def forked(work):
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            work()
            sys.exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


def test_a_child_is_told_that_its_parents_hub_is_not_its_own_and_can_end() -> None:
    program = (
        WITH_A_HUB
        + """
    broadcaster = get_sse_broadcaster()
    queue = broadcaster.add_plain_subscriber("s")
    def child():
        for use in (lambda: broadcaster.broadcast_nowait("s", "x"), queue.get, broadcaster.get_stats, queue.close):
            try:
                use()
            except RuntimeError as error:
                print("forked" in str(error))
    forked(child)
    # The parent's goes on.
    broadcaster.broadcast_nowait("s", "still here")
    print(queue.get(timeout=5).data)
    queue.close()
    """
    )
    assert output(program) == "True\nTrue\nTrue\nTrue\nstill here\n"


def test_the_processs_broadcaster_is_another_in_a_child() -> None:
    program = (
        WITH_A_HUB
        + """
    parents = get_sse_broadcaster()
    parents.broadcast_nowait("s", "x")
    def child():
        own = get_sse_broadcaster()
        assert own is not parents
        with own.subscribe("s") as queue:
            own.broadcast_nowait("s", "of the child")
            print(queue.get(timeout=5).data)
    forked(child)
    assert get_sse_broadcaster() is parents
    print(parents.get_stats()["totalEvents"])
    """
    )
    assert output(program) == "of the child\n1\n"


def test_a_broadcaster_of_a_module_that_was_not_used_before_the_fork_is_each_childs_own() -> None:
    program = (
        WITH_A_HUB
        + """
    broadcaster = Broadcaster()
    def child():
        broadcaster.broadcast_nowait("s", "x")
        print(broadcaster.get_stats()["totalEvents"])
    forked(child)
    forked(child)
    print(broadcaster.get_stats()["running"])
    """
    )
    assert output(program) == "1\n1\nFalse\n"


def test_a_server_of_the_parent_goes_on_and_its_child_ends() -> None:
    program = (
        WITH_A_HUB
        + """
    import urllib.request
    server = get_sse_broadcaster().serve(port=0)
    forked(lambda: None)
    with urllib.request.urlopen(server.url + "/health/live") as answer:
        print(answer.status)
    server.close()
    """
    )
    assert output(program) == "200\n"
