"""The same answer by WSGI and by ASGI."""
import helper


def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{helper.double(21)} {environ['PATH_INFO']} {helper.__file__}\n".encode()]


async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"{helper.double(21)} {scope['path']} {helper.__file__}\n".encode()})
