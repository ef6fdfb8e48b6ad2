"""The end of the interpreter: whatever is open then, the process ends at once, quietly, with its own exit code."""

from __future__ import annotations

import time

import pytest

from .programs import output, run

ENDS = {
    "with open queues in a loop that has ended": """
        import asyncio
        from watertight_sse.hub import get_sse_broadcaster
        kept = []
        async def main():
            for _ in range(50):
                kept.append(await get_sse_broadcaster().add_subscriber("s"))
            get_sse_broadcaster().broadcast_nowait("s", "unread")
        asyncio.run(main())
        print("end")
    """,
    "with tasks that wait when the loop ends": """
        import asyncio
        from watertight_sse.hub import get_sse_broadcaster
        async def reads():
            async with get_sse_broadcaster().subscribe("s") as queue:
                async for _ in queue:
                    pass
        async def main():
            tasks = [asyncio.create_task(reads()) for _ in range(50)]
            await asyncio.sleep(0.05)
            print("end")
        asyncio.run(main())
    """,
    "with daemon threads that wait": """
        import threading
        from watertight_sse.hub import get_sse_broadcaster
        ready = threading.Barrier(5)
        def reads():
            with get_sse_broadcaster().subscribe("s") as queue:
                ready.wait()
                for _ in queue:
                    pass
        for _ in range(4):
            threading.Thread(target=reads, daemon=True).start()
        ready.wait()
        print("end")
    """,
    "with threads that wait and are no daemons": """
        import threading
        from watertight_sse.hub import get_sse_broadcaster
        ready = threading.Barrier(5)
        def reads():
            with get_sse_broadcaster().subscribe("s") as queue:
                ready.wait()
                for event in queue:
                    assert event.json()["code"] == "SHUTTING_DOWN"
        for _ in range(4):
            threading.Thread(target=reads).start()
        ready.wait()
        print("end")
    """,
    "with daemon threads that publish as fast as they can": """
        import threading
        from watertight_sse.hub import HubError, get_sse_broadcaster
        ready = threading.Barrier(5)
        def publishes():
            ready.wait()
            while True:
                try:
                    get_sse_broadcaster().broadcast_many_sync("s", ["x" * 100] * 50)
                except HubError as error:
                    assert error.code == "SHUTTING_DOWN"
        for _ in range(4):
            threading.Thread(target=publishes, daemon=True).start()
        ready.wait()
        print("end")
    """,
    "with a loop in another thread": """
        import asyncio, threading
        from watertight_sse.hub import get_sse_broadcaster
        ready = threading.Event()
        async def reads():
            async with get_sse_broadcaster().subscribe("s") as queue:
                ready.set()
                async for event in queue:
                    assert event.json()["code"] == "SHUTTING_DOWN"
        threading.Thread(target=asyncio.run, args=[reads()]).start()
        ready.wait()
        print("end")
    """,
    "while it serves readers": """
        import socket
        from watertight_sse.hub import serve
        server = serve(port=0)
        host, port = server.addresses[0].rsplit(":", 1)
        sockets = []
        for _ in range(20):
            reader = socket.create_connection((host, int(port)))
            reader.sendall(b"GET /sessions/s/events HTTP/1.1\\r\\nhost: localhost\\r\\naccept: text/event-stream\\r\\n\\r\\n")
            assert reader.recv(15) == b"HTTP/1.1 200 OK"
            sockets.append(reader)
        print("end")
        import warnings
        warnings.simplefilter("ignore")  # of the test's own sockets
    """,
    "with a broadcaster that is part of a cycle": """
        from watertight_sse.hub import Broadcaster
        class Application: pass
        application = Application()
        application.itself = application
        application.broadcaster = Broadcaster()
        application.broadcaster.broadcast_nowait("s", "x")
        print("end")
    """,
}


@pytest.mark.parametrize("program", ENDS.values(), ids=ENDS.keys())
def test_the_process_ends_by_itself(program: str) -> None:
    begun = time.monotonic()
    assert output(program) == "end\n"
    assert time.monotonic() - begun < 10


def test_the_process_keeps_its_exit_code() -> None:
    ended = run(
        """
        import sys, threading
        from watertight_sse.hub import get_sse_broadcaster
        ready = threading.Event()
        def reads():
            with get_sse_broadcaster().subscribe("s") as queue:
                ready.set()
                list(queue)
        threading.Thread(target=reads, daemon=True).start()
        ready.wait()
        sys.exit(7)
        """
    )
    assert (ended.returncode, ended.stderr) == (7, "")


def test_what_runs_at_exit_after_the_hub_is_refused_and_does_not_hang() -> None:
    assert (
        output(
            """
            import atexit
            from watertight_sse.hub import Broadcaster, HubError
            def late():
                try:
                    broadcaster.broadcast_nowait("s", "x")
                except HubError as error:
                    print(error.code)
                broadcaster.close()
            atexit.register(late)
            broadcaster = Broadcaster()
            broadcaster.broadcast_nowait("s", "x")
            """
        )
        == "SHUTTING_DOWN\n"
    )


def test_whoever_publishes_from_another_thread_is_told_that_the_main_thread_has_ended() -> None:
    program = """
        import threading
        from watertight_sse.hub import HubError, get_sse_broadcaster
        def publishes():
            while True:
                try:
                    get_sse_broadcaster().broadcast_sync("s", "x")
                except HubError as error:
                    print(error)
                    break
        get_sse_broadcaster().broadcast_nowait("s", "x")
        def ends():
            threading.main_thread().join()
            publishes()
        threading.Thread(target=ends).start()
    """
    assert output(program) == (
        "SHUTTING_DOWN: the process ends: its hub ends with its main thread, before other threads do\n"
    )


def test_an_error_at_the_end_is_told_and_does_not_keep_what_comes_after_it_from_being_done() -> None:
    ended = run(
        """
        import atexit
        from watertight_sse import _hub
        from watertight_sse.hub import Broadcaster
        class Broken(Broadcaster):
            def close(self, grace=5.0):
                raise OSError("broken")
        broken, whole = Broken(), Broadcaster()
        for broadcaster in (broken, whole):
            broadcaster.broadcast_nowait("s", "x")
        native = broken._native
        def late():
            print(whole.get_stats()["running"])
            try:
                native.clean_up()
            except Exception as error:
                print(error)
        atexit.register(late)
        """
    )
    assert ended.returncode == 0
    assert ended.stdout.startswith("False\nSHUTTING_DOWN: the process ends"), ended.stdout
    assert ended.stderr == "watertight_sse.hub: stopping a hub at the end of the process: OSError('broken')\n"
