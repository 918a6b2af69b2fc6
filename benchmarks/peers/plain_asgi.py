"""A SavedModel of typed columns behind a plain ASGI server: a process for each core, a call of the model for each request.

Server: https://www.uvicorn.org/deployment/
"""

from __future__ import annotations

import json
import os
from typing import Any


class Application:
    """Predicts with the model in the folder that the variable MODEL names."""

    signature: Any = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self.load()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        content = self.predicted(body) if scope["path"] == "/predict" else b"{}"
        headers = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def load(self) -> None:
        import tensorflow as tf

        self.signature = tf.saved_model.load(os.environ["MODEL"]).signatures["serving_default"]
        self.inputs = self.signature.structured_input_signature[1]

    def predicted(self, body: bytes) -> bytes:
        import tensorflow as tf

        instances = json.loads(body)["instances"]
        tensors = {
            name: tf.constant([[row[name]] for row in instances], spec.dtype)
            for name, spec in self.inputs.items()
        }
        [scores] = self.signature(**tensors).values()
        return json.dumps({"predictions": scores.numpy().tolist()}).encode()


def create() -> Application:
    """Return the application of one process."""
    return Application()


def main() -> None:
    """Serve at the port that the variable LISTEN_ON names."""
    import uvicorn

    port, workers = int(os.environ["LISTEN_ON"]), len(os.sched_getaffinity(0))
    options: dict[str, Any] = {"access_log": False, "log_level": "warning"}
    uvicorn.run("plain_asgi:create", factory=True, port=port, workers=workers, **options)


if __name__ == "__main__":
    main()
