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
        for use in (lambda: broadcaster.broadcast_nowait("s", "x"), queue.get, broadcaster.get_stats):
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
    assert output(program) == "True\nTrue\nTrue\nstill here\n"


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


def test_a_process_has_one_default_broadcaster_also_if_it_was_made_before_the_fork() -> None:
    program = (
        WITH_A_HUB
        + """
    of_the_module = get_sse_broadcaster()
    def child():
        assert get_sse_broadcaster() is of_the_module
        with of_the_module.subscribe("s") as queue:
            get_sse_broadcaster().broadcast_nowait("s", "it comes")
            print(queue.get(timeout=5).data)
    forked(child)
    """
    )
    assert output(program) == "it comes\n"


def test_closing_what_is_the_parents_does_nothing_and_the_child_keeps_its_exit_code() -> None:
    program = (
        WITH_A_HUB
        + """
    import asyncio
    broadcaster, served = Broadcaster(), Broadcaster()
    server = served.serve(port=0)
    loop = asyncio.new_event_loop()
    at_rest = loop.run_until_complete(broadcaster.add_subscriber("s"))
    with broadcaster.subscribe("s") as queue:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            at_rest.close()
            queue.close()
            server.close()
            # Let go of, it is the child's own when it starts again.
            with broadcaster:
                broadcaster.close()
                with broadcaster:
                    broadcaster.broadcast_nowait("s", "x")
                    print(broadcaster.get_stats()["totalEvents"])
            warnings.simplefilter("ignore", ResourceWarning)  # of the parent's loop
            sys.exit(3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        broadcaster.broadcast_nowait("s", "the parent's goes on")
        print(queue.get(timeout=5).data)
    loop.run_until_complete(broadcaster.remove_subscriber("s", at_rest))
    loop.close()
    server.close()
    broadcaster.close()
    """
    )
    assert output(program) == "1\n3\nthe parent's goes on\n"


def test_a_child_ends_with_its_own_exit_code_beside_a_loop_of_the_parents_that_has_readers() -> None:
    program = (
        WITH_A_HUB
        + """
    import asyncio
    broadcaster, loop = Broadcaster(), asyncio.new_event_loop()
    queue = loop.run_until_complete(broadcaster.add_subscriber("s"))
    # Python warns of the parent's loop there.
    forked(lambda: warnings.simplefilter("ignore", ResourceWarning))
    loop.run_until_complete(broadcaster.remove_subscriber("s", queue))
    loop.close()
    """
    )
    assert output(program) == ""


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
