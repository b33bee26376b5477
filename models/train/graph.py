"""Writes ONNX graphs by hand: opset 17, weights in fp16, the two inputs and one output of CLIP-as-service's models."""
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from towers import DIM, Block


class Graph:
    """Collects nodes and initializers. Every method adds to the graph and returns the name of the tensor it makes."""

    def __init__(self):
        self.nodes, self.initializers, self.count = [], [], 0

    def op(self, kind: str, *inputs: str, out='', **attributes) -> str:
        self.count += 1
        out = out or f'{kind}_{self.count}'
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=f'n{self.count}', **attributes))
        return out

    def constant(self, value, name='') -> str:
        self.count += 1
        name = name or f'c{self.count}'
        self.initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, tensor: torch.Tensor, name: str) -> str:
        """Stored as fp16, cast to fp32; sessions fold that when they load."""
        half = tensor.detach().float().numpy().astype(np.float16)
        return self.op('Cast', self.constant(half, name), to=TensorProto.FLOAT)

    def number(self, value: float) -> str:
        return self.constant(np.float32(value))

    def shape(self, *sizes: int) -> str:
        return self.constant(np.int64(sizes))

    def layer_norm(self, x: str, module, name: str) -> str:
        weight, bias = self.weight(module.weight, name + '.weight'), self.weight(module.bias, name + '.bias')
        return self.op('LayerNormalization', x, weight, bias, axis=-1, epsilon=1e-5)

    def linear(self, x: str, module, name: str) -> str:
        x = self.op('MatMul', x, self.weight(module.weight.t().contiguous(), name + '.weight'))
        return self.op('Add', x, self.weight(module.bias, name + '.bias')) if module.bias is not None else x

    def block(self, x: str, b: Block, length: int, name: str, mask='') -> str:
        """towers.Block over all positions: (batch, length, width) -> the same."""
        width = b.ln_1.weight.numel()
        head = width // b.heads
        qkv = self.linear(self.layer_norm(x, b.ln_1, name + '.ln_1'), b.qkv, name + '.attn.in_proj')
        qkv = self.op('Reshape', qkv, self.shape(0, length, 3, b.heads, head))
        qkv = self.op('Transpose', qkv, perm=[2, 0, 3, 1, 4])
        q, k, v = (self.op('Gather', qkv, self.constant(np.int64(i)), axis=0) for i in range(3))
        q = self.op('Mul', q, self.number(head ** -.5))
        scores = self.op('MatMul', q, self.op('Transpose', k, perm=[0, 1, 3, 2]))
        scores = self.op('Add', scores, mask) if mask else scores
        y = self.op('MatMul', self.op('Softmax', scores, axis=-1), v)
        y = self.op('Reshape', self.op('Transpose', y, perm=[0, 2, 1, 3]), self.shape(0, length, width))
        x = self.op('Add', x, self.linear(y, b.proj, name + '.attn.out_proj'))
        z = self.linear(self.layer_norm(x, b.ln_2, name + '.ln_2'), b.fc, name + '.mlp.c_fc')
        z = self.op('Mul', z, self.op('Sigmoid', self.op('Mul', z, self.number(1.702))))  # QuickGELU
        return self.op('Add', x, self.linear(z, b.out, name + '.mlp.c_proj'))

    def save(self, path: str, inputs: list[dict], name: str) -> None:
        """inputs: dict(name, type, shape) each, as config.json lists them."""
        types = dict(int32=TensorProto.INT32, float32=TensorProto.FLOAT)
        graph = helper.make_graph(
            self.nodes, name,
            [helper.make_tensor_value_info(i['name'], types[i['type']], i['shape']) for i in inputs],
            [helper.make_tensor_value_info('output', TensorProto.FLOAT, ['batch', DIM])], self.initializers)
        opset = [helper.make_opsetid('', 17)]
        model = helper.make_model(graph, opset_imports=opset, producer_name='tiny-clip train.py')
        model.ir_version = 8  # what older onnxruntimes still read
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, path)
