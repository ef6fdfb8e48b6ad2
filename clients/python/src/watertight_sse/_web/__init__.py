"""What applications in Starlette and FastAPI need between their sign-in and a hub. The public names are in
``watertight_sse.starlette`` and ``watertight_sse.fastapi``.
"""
