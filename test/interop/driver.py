"""Runs scenarios of the unmodified Python client against servers and prints what came of each, one JSON object a line.

stdin:  {"urls", "scenarios", "texts", "images": [paths], "folder" for files of its own, "token"}
stdout: {"url", "scenario", "result"} or {"url", "scenario", "error": {"types", "message"}}
"""

import asyncio
import base64
import functools
import http.server
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlparse

import numpy as np
from clip_client import Client
from docarray import Document, DocumentArray
from jina import Client as JinaClient
from PIL import Image

IN = json.load(sys.stdin)
# The client prints progress and profiles; results go where these do not.
OUT = os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)

TEXTS, IMAGES = IN.get('texts', []), IN.get('images', [])
NOT_AN_IMAGE = b'this is not an image'


def bare(url):
    parts = urlparse(url)
    tls = parts.scheme in ('grpcs', 'https', 'wss')
    scheme = parts.scheme[:-1] if tls else parts.scheme
    protocol = 'websocket' if scheme == 'ws' else scheme
    return JinaClient(host=parts.hostname, port=parts.port, protocol=protocol, tls=tls)


def vectors(result):
    array = result.embeddings if isinstance(result, DocumentArray) else result
    return np.asarray(array).tolist()


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def pixels(path):
    return np.asarray(Image.open(path).convert('RGB'))


def png_paths():
    return [path for path in IMAGES if path.endswith('.png')]


def texts(url):
    return vectors(Client(url).encode(TEXTS))


def generator(url):
    return vectors(Client(url).encode(text for text in TEXTS[:5]))


def image_files(url):
    return vectors(Client(url).encode(IMAGES, batch_size=6))


def http_uris(url):
    folder = os.path.dirname(IMAGES[0])
    handler = type('Quiet', (http.server.SimpleHTTPRequestHandler,), {'log_message': lambda *_: None})
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f'http://127.0.0.1:{server.server_port}'
    try:
        return vectors(Client(url).encode([f'{base}/{os.path.basename(path)}' for path in IMAGES[:3]]))
    finally:
        server.shutdown()


def data_uris(url):
    kinds = {'.png': 'image/png', '.jpg': 'image/jpeg'}
    uris = [f'data:{kinds[path[-4:]]};base64,{base64.b64encode(read(path)).decode()}' for path in IMAGES[:3]]
    return vectors(Client(url).encode(uris))


def mixed(url):
    """Text, blob, tensor and uri in one array; the tensor holds the pixels of the uri's file."""
    path = png_paths()[0]
    docs = [Document(text=TEXTS[0]), Document(blob=read(path)), Document(tensor=pixels(path)), Document(uri=path)]
    result = Client(url).encode(DocumentArray(docs))
    return {'ids': result[:, 'id'] == [doc.id for doc in docs], 'vectors': vectors(result), 'path': path}


def asynchronous(url):
    async def both():
        client = Client(url)
        return await asyncio.gather(client.aencode(TEXTS[:3]), client.aencode(IMAGES[:2]))

    return [vectors(one) for one in asyncio.run(both())]


def rank_docs():
    """An image with texts to rank, and a text with images; ids are the kind and the index of the content."""
    captions = [Document(id=f't{i}', text=text) for i, text in enumerate(TEXTS[:4])]
    pictures = [Document(id=f'i{i}', uri=path) for i, path in enumerate(IMAGES[:3])]
    return DocumentArray(
        [Document(id='i0', uri=IMAGES[0], matches=captions), Document(id='t1', text=TEXTS[1], matches=pictures)]
    )


def ranked(result):
    def scores(match):
        return {'id': match.id, **{name: match.scores[name].value for name in ('clip_score', 'clip_score_cosine')}}

    return [{'id': doc.id, 'matches': [scores(match) for match in doc.matches]} for doc in result]


def rank(url):
    return ranked(Client(url).rank(rank_docs()))


def arank(url):
    return ranked(asyncio.run(Client(url).arank(rank_docs())))


def profile(url):
    client = Client(url)
    return [client.profile(), client.profile(TEXTS[0])]


def index_and_search(url):
    client = Client(url)
    found = client.search(TEXTS[:2], limit=3)
    return {'indexed': vectors(client.index(TEXTS[:2])), 'found': len(found), 'matches': len(found[0].matches)}


def batch_sizes(url):
    client = Client(url)
    return [vectors(client.encode(TEXTS[:5], batch_size=size)) for size in range(1, 7)]


def progress(url):
    return vectors(Client(url).encode(TEXTS[:3], show_progress=True, batch_size=1))


def in_parallel(url):
    """Forty requests of one text each, few under way, from four clients at once: each gets its own, in order."""
    contents = [TEXTS[i % len(TEXTS)] for i in range(40)]

    def one(prefetch):
        return vectors(Client(url).encode(contents, batch_size=1, prefetch=prefetch))

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(one, [1, 2, 10, 100]))
    assert all(np.allclose(results[0], other, atol=1e-5) for other in results)
    return results[0][: len(TEXTS)]


def callbacks(url):
    calls = []
    note = lambda name: lambda response: calls.append([name, len(response.data.docs)])
    handlers = {name: note(name) for name in ('on_done', 'on_error', 'on_always')}
    result = Client(url).encode([*TEXTS[:4]], batch_size=2, **handlers)
    return {'calls': sorted(calls), 'result': result}


def bad_docs():
    bad = Document(id='bad', blob=NOT_AN_IMAGE)
    return DocumentArray([Document(id='before', text=TEXTS[0]), bad, Document(id='after', text=TEXTS[1])])


def bad_image(url):
    return vectors(Client(url).encode(bad_docs()))


def bad_image_on_error(url):
    errors, done = [], []
    Client(url).encode(bad_docs(), batch_size=1, on_error=errors.append, on_done=done.append)
    status = errors[0].header.status
    return {
        'errors': len(errors),
        'done': sorted(response.data.docs[0].id for response in done),
        'id': errors[0].data.docs[0].id,
        'kept': errors[0].data.docs[0].blob == NOT_AN_IMAGE,
        'description': status.description,
        'exception': status.exception.name,
    }


def model_name(url):
    return vectors(Client(url).encode(TEXTS[:1], parameters={'model_name': 'another'}))


def large_image(url):
    """Noise cannot be compressed: more than the 4 MiB that gRPC servers take unless told otherwise."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (1300, 1300, 3), dtype=np.uint8))
    path = os.path.join(IN['folder'], 'noise.png')
    noise.save(path, compress_level=0)
    return [os.path.getsize(path), np.asarray(Client(url).encode([path])).shape]


def responses(url):
    """What a bare client of Jina sees: every field that came back."""
    docs = DocumentArray([Document(id=str(i), text=text) for i, text in enumerate(TEXTS[:6])])
    docs.append(Document(id='kept', blob=read(IMAGES[0]), tags={'a': [1, 'b']}, mime_type='image/jpeg'))
    got = bare(url).post(
        '/encode',
        inputs=docs,
        request_size=1,
        results_in_order=True,
        return_responses=True,
        parameters={'drop_image_content': False, 'mine': {'x': 1.5}},
    )
    last = got[-1].data.docs[0]
    return {
        'ids': [response.data.docs[0].id for response in got],
        'routes': [route.executor for route in got[0].routes],
        'parameters': dict(got[0].parameters),
        'mime_type': got[0].data.docs[0].mime_type,
        'blob_kept': last.blob == read(IMAGES[0]),
        'tags': last.tags,
        'vectors': [vectors(response.data.docs)[0] for response in got[:6]],
    }


def nobody_targeted(url):
    (got,) = bare(url).post('/encode', Document(text='x'), target_executor='nobody', return_responses=True)
    return {'code': got.header.status.code, 'embedded': got.data.docs[0].embedding is not None}


def variants(url):
    """Unary calls and compressed ones, which only gRPC has: the client ignores the options elsewhere."""
    options = [{'stream': False}, {'compression': 'Gzip'}, {'stream': False, 'compression': 'Deflate'}]
    docs = lambda: DocumentArray([Document(text=text) for text in TEXTS[:3]])
    post = lambda one: bare(url).post('/encode', docs(), results_in_order=True, request_size=1, **one)
    return [vectors(post(one)) for one in options]


def ready(url):
    return bare(url).is_flow_ready()


def with_token(url):
    return vectors(Client(url, credential={'Authorization': IN['token']}).encode(TEXTS[:2]))


def with_wrong_token(url):
    return vectors(Client(url, credential={'Authorization': 'wrong'}).encode(TEXTS[:2]))


for url in IN['urls']:
    for name in IN['scenarios']:
        line = {'url': url, 'scenario': name}
        try:
            line['result'] = globals()[name](url)
        except BaseException as error:
            types = [one.__name__ for one in type(error).__mro__]
            line['error'] = {'types': types, 'message': str(error)}
        print(json.dumps(line), file=OUT, flush=True)
