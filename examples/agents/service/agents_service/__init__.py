"""A service that runs agents. Pages watch them live through a Watertight hub.

===============  ==================================================================================
``settings``     what can be set, from the environment
``steps``        what an agent does, one step at a time, and what the steps of a run amount to
``agent``        the agent itself: a script, in the place of a language model
``store``        what is kept: runs, their steps, and who is signed in (SQLite)
``telling``      brings what is kept to the hub, in order, as long as that takes
``desk``         starts runs, keeps and tells what they do, and picks up what a stop left behind
``accounts``     users, passwords, cookies
``tries``        how often somebody may try to sign in
``revocations``  tells the hub who has signed out
``routes``       what a page may ask
``same_origin``  refuses what pages of other origins have a browser send
``app``          all of it, as an ASGI application
===============  ==================================================================================
"""
