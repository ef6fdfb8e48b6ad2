"""Subscribing: a stream that comes back by itself, where it left off.

====================  ===================================================================================
``parser``            bytes of an event stream in, what they mean out
``cursor``            the position, and what was delivered up to it
``fallback``          stream or long-poll: which way the next request goes
``options``           what the application wants, checked
``request``           requests, and where redirects take them
``answers``           heads, refusals and answers to long-polls
``attempt``           one attempt, from its first request to its last byte
``core``              what comes after an attempt
``aio``, ``plain``    carry it out: with asyncio, and without
``limit``, ``watch``  waits of the one and of the other
====================  ===================================================================================

All but the last two rows know no socket and no clock.
"""
