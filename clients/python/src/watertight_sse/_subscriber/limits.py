"""Every limit and time of a subscriber, with its unit and its reason. Knows no socket."""

CONNECT_TIMEOUT = 10.0
"""Head and (from a hub) first byte have to be there within this, seconds."""
TOKEN_TIMEOUT = 30.0
"""A function that gives tokens must have given one within this, seconds."""
REFUSAL_TIMEOUT = 1.0
"""How long the words of a refusal are waited for once its status is known, seconds."""

HEARTBEAT = 15.0
"""The heartbeat assumed where the head names none, seconds."""
SILENT_HEARTBEATS = 3
"""A stream without a byte for so many heartbeats is dead."""
READ_TIMEOUT_MIN = 15.0
"""Silence shorter than this never counts as death, however fast the heartbeat, seconds."""
READ_TIMEOUT_MAX = 600.0
"""Silence longer than this always does, whatever the head claims, seconds."""
HEALTHY_AFTER = 30.0
"""A connection that held so long was healthy even without an event, seconds: the back-off begins anew."""
RECONNECT_MIN = 1.0
"""An attempt that the application broke off before an item came is followed by the next one no earlier
than this after its begin, seconds: a loop of short time-outs must not become a loop of connections."""

FALLBACK_AFTER = 3
"""Attempts in a row without a stream that proves itself, after which long-polls are tried."""
PROBE_MIN = 15.0
"""While polling, the stream is tried again after this, seconds, ..."""
PROBE_MAX = 300.0
"""... which doubles up to this one."""
POLL_AGAIN_MIN = 15.0
"""Where whoever answers knows no long-poll, another one is tried after this, seconds, ..."""
POLL_AGAIN_MAX = 300.0
"""... which doubles up to this one."""
POLL_WAIT = 25
"""How long a hub is asked to hold a long-poll, seconds: its own default, and below what proxies wait."""
POLL_PAUSE = 0.5
"""The pause after a long-poll that brought nothing new, seconds: somebody on the way may answer at once."""
POLL_EVENTS_MAX = 100
"""Events asked for in one long-poll."""
POLL_DATA_BYTES = 1024 * 1024
"""Data that a hub puts into one answer to a long-poll, bytes, however small its events are."""
POLL_BODY_FACTOR = 8
"""An answer may be this many times as long as the largest event: JSON writes a byte of text in at most six."""

MAX_EVENT_BYTES = 1024 * 1024
"""Largest event taken, bytes: the hub's default of 256 KiB with room for a raised one."""
COMMENT_BYTES_MAX = 1024
"""Longest comment that is told, bytes: the rest of a longer one is passed over."""
ERROR_BODY_BYTES = 16 * 1024
"""Longest body of a refusal that is read, bytes; a problem document is a few hundred."""
LAST_EVENT_ID_BYTES = 1024
"""Longest ``Last-Event-ID`` sent, bytes. A longer id came from no hub of ours."""
REDIRECTS_MAX = 10
"""Redirects followed in a row. A browser follows 20; more than a few are a loop."""
