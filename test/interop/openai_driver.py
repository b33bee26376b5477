"""Runs OpenAI's Python client against a server, for openai.test.ts.

Reads {"url", "model", "texts", "tokens", "image"} (image: base64) from standard input; prints one JSON object, scenario
to what came of it: a result, or {"raised": [class, ...], "status", "code", "param", "type"}.
"""
import json
import sys
import time

import numpy as np
import openai


def raised(error: openai.APIStatusError) -> dict:
    return {
        'raised': [one.__name__ for one in type(error).__mro__],
        'status': error.status_code,
        'code': error.code,
        'param': error.param,
        'type': error.type,
    }


def main() -> None:
    given = json.load(sys.stdin)
    client = openai.OpenAI(base_url=given['url'] + '/v1', api_key=given['token'], max_retries=0, timeout=20)

    def embed(input, **options):
        answer = client.embeddings.create(model=given['model'], input=input, **options)
        assert [one.index for one in answer.data] == list(range(len(answer.data)))
        vectors = np.array([one.embedding for one in answer.data], dtype=np.float32)
        return {
            'vectors': vectors.tolist(),
            'tokens': [answer.usage.prompt_tokens, answer.usage.total_tokens],
            'model': answer.model,
        }

    def base64():
        answer = client.embeddings.create(model=given['model'], input=given['texts'], encoding_format='base64')
        import base64 as codec

        vectors = [np.frombuffer(codec.b64decode(one.embedding), dtype='<f4').tolist() for one in answer.data]
        return {'vectors': vectors, 'tokens': [answer.usage.prompt_tokens, answer.usage.total_tokens], 'model': answer.model}

    def stranger():
        return openai.OpenAI(base_url=given['url'] + '/v1', api_key='stranger', max_retries=0).models.list()

    def line(custom_id, body):
        return json.dumps({'custom_id': custom_id, 'method': 'POST', 'url': '/v1/embeddings', 'body': body})

    def lines_of(file_id):
        text = client.files.content(file_id).text
        return [json.loads(one) for one in text.splitlines()]

    def start_batch(lines):
        file = client.files.create(file=('input.jsonl', '\n'.join(lines).encode()), purpose='batch')
        return file, client.batches.create(
            input_file_id=file.id, endpoint='/v1/embeddings', completion_window='24h', metadata={'by': 'python'}
        )

    def ended(batch):
        while batch.status not in ('completed', 'failed', 'expired', 'cancelled'):
            time.sleep(0.1)
            batch = client.batches.retrieve(batch.id)
        return batch

    def batch():
        lines = [line(f'r{i}', {'model': given['model'], 'input': text}) for i, text in enumerate(given['texts'])]
        file, made = start_batch([*lines, line('bad', {'model': 'text-embedding-3-small', 'input': 'x'})])
        done = ended(made)
        output, errors = lines_of(done.output_file_id), lines_of(done.error_file_id)
        counts = done.request_counts
        listed = [one.id for one in client.batches.list(limit=1)]
        files = [one.id for one in client.files.list()]
        return {
            'status': done.status,
            'metadata': done.metadata,
            'counts': [counts.total, counts.completed, counts.failed],
            'ids': [one['custom_id'] for one in output],
            'vectors': [one['response']['body']['data'][0]['embedding'] for one in output],
            'errors': [[one['custom_id'], one['response']['status_code'], one['response']['body']['error']['code']] for one in errors],
            'listed': made.id in listed and file.id in files and client.files.retrieve(file.id).filename == 'input.jsonl',
            'deleted': client.files.delete(file.id).deleted,
        }

    def cancelled():
        file, made = start_batch([line(f'r{i}', {'input': f'a red circle {i}'}) for i in range(5000)])
        client.batches.cancel(made.id)
        done = ended(made)
        return {'status': done.status, 'cancelled_at': done.cancelled_at}

    scenarios = {
        'batch': batch,
        'cancelled_batch': cancelled,
        'unknown_batch': lambda: client.batches.retrieve('batch_1'),
        'unknown_file': lambda: client.files.content('file-1'),
        'unknown_input': lambda: client.batches.create(
            input_file_id='file-1', endpoint='/v1/embeddings', completion_window='24h'
        ),
        'string': lambda: embed(given['texts'][0]),
        # Without encoding_format the client asks for base64 and decodes it with numpy.
        'strings': lambda: embed(given['texts']),
        'floats': lambda: embed(given['texts'], encoding_format='float'),
        'base64': base64,
        'tokens': lambda: embed(given['tokens'][0]),
        'token_arrays': lambda: embed(given['tokens']),
        'objects': lambda: embed([{'text': given['texts'][0]}, {'image': given['image']}]),
        'data_uri': lambda: embed([{'image': 'data:image/png;base64,' + given['image']}]),
        'infinity': lambda: embed(['data:image/png;base64,' + given['image']], extra_body={'modality': 'image'}),
        'models': lambda: [one.id for one in client.models.list()],
        'model': lambda: client.models.retrieve(given['model']).id,
        'unknown_model': lambda: client.models.retrieve('text-embedding-3-small'),
        'unknown_model_of_embeddings': lambda: client.embeddings.create(model='text-embedding-3-small', input='x'),
        'empty': lambda: embed(''),
        'foreign_tokens': lambda: embed([64, 2579, 12960]),
        'dimensions': lambda: embed('x', dimensions=64),
        'bad_image': lambda: embed([{'text': 'x'}, {'image': 'AAAA'}]),
        'private_uri': lambda: embed([{'image': 'http://127.0.0.1:1/x.png'}]),
        'no_token': stranger,
    }
    outcomes = {}
    for name, run in scenarios.items():
        try:
            outcomes[name] = run()
        except openai.APIStatusError as error:
            outcomes[name] = raised(error)
    json.dump(outcomes, sys.stdout)


main()
