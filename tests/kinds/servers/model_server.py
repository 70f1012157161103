"""A server of a real language model of genui, that speaks as llama-server, Ollama or OpenAI do."""

import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from genui.engine.sample.text import TextGenerator
from genui.engine.sample.token_list import TokenList
from genui.engine.sample.windows import Reading

VOCABULARY = 49152  # as it claims
SPECIAL = "z"  # the token that stands for <|im_end|>
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class ModelServer:
    """A model behind an address. `fault(path)` may give a status and a body of its own."""

    def __init__(self, generator: TextGenerator, dialect: str) -> None:
        self.generator, self.dialect = generator, dialect
        self.asked: list[tuple[str, Any]] = []  # paths and bodies
        self.keys: list[str | None] = []
        self.fault: Callable[[str], tuple[int, bytes, dict[str, str]] | None] = lambda path: None
        self.release = threading.Event()  # a reply that hangs waits for it
        self.shift = 0.0  # added to the first logit: another model than before
        self.models = ["tiny"]
        self.old = False  # the shapes of llama-server before December 2024
        self.most = 100  # how many odds it gives
        self.end = ""  # the token that ends a text, at which it tells no odds
        self.url = ""

    def questions(self, path: str) -> list[Any]:
        return [body for asked, body in self.asked if asked == path]

    # --- The model --------------------------------------------------------------------------

    def encode(self, prompt: Any) -> list[int]:
        if isinstance(prompt, str):
            return self.generator.tokenizer.encode(prompt)
        return [token for part in prompt for token in ([part] if isinstance(part, int) else [])]

    def odds(self, prompt: Any, count: int) -> list[tuple[int, str, float]]:
        """The likeliest tokens with the logarithms of their probabilities."""
        ids = self.encode(prompt) or [0]
        logits = self.generator.read(Reading(TokenList(ids), len(ids))).astype(np.float64)
        logits[0] += self.shift
        logprobs = logits - logits.max() - math.log(np.exp(logits - logits.max()).sum())
        top = np.argsort(-logprobs, kind="stable")[: min(count, self.most)].tolist()
        decode = self.generator.tokenizer.decode
        return [(token, decode([token]), float(logprobs[token])) for token in top]

    # --- Dialects ---------------------------------------------------------------------------

    def reply(self, path: str, body: Any) -> Any:
        """The JSON for a request; None if this server does not know the path."""
        return getattr(self, f"_{self.dialect}")(path, body)

    def _llama(self, path: str, body: Any) -> Any:
        match path:
            case "/props":
                settings = {"n_ctx": 2048}
                return {
                    "default_generation_settings": settings,
                    "model_path": "/m/tiny.gguf",
                    "chat_template": CHATML,
                    "eos_token": "<|im_end|>",
                }
            case "/v1/models":
                return {"data": [{"id": "tiny", "meta": {"n_vocab": VOCABULARY, "n_params": 7}}]}
            case "/tokenize":
                content = body["content"]
                if body.get("parse_special"):
                    content = content.replace("<|im_end|>", SPECIAL)
                ids = self.encode(content)
                if not body.get("with_pieces"):
                    return {"tokens": ids}
                decode = self.generator.tokenizer.decode
                return {"tokens": [{"id": one, "piece": decode([one])} for one in ids]}
            case "/completion":
                odds = self.odds(body["prompt"], body["n_probs"])
                biased = "logit_bias" in body
                if not biased:  # as if it had taken a part of a character
                    return {"content": "\N{REPLACEMENT CHARACTER}", "stop_type": "limit"}
                if self.old:
                    probs = [{"tok_str": text, "prob": math.exp(p)} for _, text, p in odds]
                    step: Any = {"content": odds[0][1], "probs": probs}
                else:
                    top = [
                        {"id": one, "token": text, "bytes": list(text.encode()), "logprob": p}
                        for one, text, p in odds
                    ]
                    step = {**top[0], "top_logprobs": top}
                return {"content": odds[0][1], "completion_probabilities": [step]}
        return None

    def _ollama(self, path: str, body: Any) -> Any:
        match path:
            case "/api/version":
                return {"version": "0.12.11"}
            case "/api/tags":
                return {"models": [{"name": f"{name}:latest"} for name in self.models]}
            case "/api/show":
                info = {"llama.context_length": 2048, "general.license": "mit"}
                return {"model_info": info | {"tokenizer.chat_template": CHATML}}
            case "/api/generate":
                assert body["raw"] is True
                odds = self.odds(body["prompt"], body["top_logprobs"])
                if odds[0][1] == self.end and not body["options"]["temperature"]:
                    return {"response": "", "done_reason": "stop"}
                top = [
                    {"token": text, "logprob": p, "bytes": list(text.encode())}
                    for _, text, p in odds
                ]
                return {"response": odds[0][1], "logprobs": [{**top[0], "top_logprobs": top}]}
        return None

    def _openai(self, path: str, body: Any) -> Any:
        match path:
            case "/v1/models":
                return {"data": [{"id": name, "max_model_len": 2048} for name in self.models]}
            case "/v1/completions":
                odds = self.odds(body["prompt"], body["logprobs"])
                if odds[0][1] == self.end and not body["temperature"]:
                    return {"choices": [{"text": "", "finish_reason": "stop"}]}
                logprobs = {
                    "tokens": [odds[0][1]],
                    "token_logprobs": [odds[0][2]],
                    "top_logprobs": [{text: p for _, text, p in odds}],
                }
                return {"choices": [{"text": odds[0][1], "logprobs": logprobs}]}
        return None


@contextmanager
def serve(generator: TextGenerator, dialect: str) -> Iterator[ModelServer]:
    """The server on a free port of this machine, while the block runs."""
    server = ModelServer(generator, dialect)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            self._answer(json.loads(self.rfile.read(length)))

        def _answer(self, body: Any) -> None:
            server.asked.append((self.path, body))
            server.keys.append(self.headers.get("Authorization"))
            status, headers = 200, {}
            if (fault := server.fault(self.path)) is not None:
                status, data, headers = fault
            elif (reply := server.reply(self.path, body)) is None:
                status, data = 404, b'{"error":{"message":"not found"}}'
            else:
                data = json.dumps(reply).encode()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(data))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(ConnectionError):  # a client may have had enough
                self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Httpd(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that closed its connection

    httpd = Httpd(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.release.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()
