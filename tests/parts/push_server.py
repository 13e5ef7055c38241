"""A push service in a process of its own, on loopback: `push_server.py PORT`; says what it has accepted."""

import base64
import sys
import time

from aiohttp import web


async def accept(request):
    body = base64.b64encode(await request.read()).decode()
    print(f"push {time.time():.4f} {body}", flush=True)
    return web.Response(status=201)


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/push", accept)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=lambda *_: print("ready", flush=True))
