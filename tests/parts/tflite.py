"""Makes networks for LiteRT: small, and of the form that detectors have."""

from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

SIDE = 32
ROWS = 3


class Network:
    """One subgraph, grown tensor by tensor."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.buffers, self.model.operatorCodes = 3, [schema.BufferT()], []
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, shape, kind=schema.TensorType.FLOAT32, data=None, scale=None) -> int:
        made = schema.TensorT()
        made.shape, made.type, made.name = list(shape), kind, f"t{len(self.graph.tensors)}"
        made.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.asarray(data).tobytes(), np.uint8)
            made.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint = [scale], [0]
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def add(self, operator, inputs, output, options=None, kind=schema.BuiltinOptions.NONE) -> int:
        code = schema.OperatorCodeT()
        code.builtinCode = operator
        code.deprecatedBuiltinCode, code.version = min(operator, 127), 1
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.model.operatorCodes) - 1, inputs, [output]
        made.builtinOptions, made.builtinOptionsType = options, kind
        self.graph.operators.append(made)
        return output

    def write(self, path: Path, inputs, outputs) -> Path:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return path


def write_detector(path: Path, boxes, classes, *, side=SIDE) -> Path:
    """Always sees these boxes, each as surely as the picture it is shown is bright."""
    network, count = Network(), len(classes)
    picture = network.tensor((1, side, side, 3), schema.TensorType.UINT8, scale=1 / 255)
    bright = network.add(
        schema.BuiltinOperator.DEQUANTIZE, [picture], network.tensor((1, side, side, 3)),
        schema.DequantizeOptionsT(), schema.BuiltinOptions.DequantizeOptions,
    )  # fmt: skip
    axes = network.tensor((3,), schema.TensorType.INT32, np.array([1, 2, 3], np.int32))
    mean = schema.ReducerOptionsT()
    mean.keepDims = False
    one = network.add(
        schema.BuiltinOperator.MEAN, [bright, axes], network.tensor((1,)), mean,
        schema.BuiltinOptions.ReducerOptions,
    )  # fmt: skip
    shape = network.tensor((2,), schema.TensorType.INT32, np.array([1, 1], np.int32))
    column = network.add(
        schema.BuiltinOperator.RESHAPE, [one, shape], network.tensor((1, 1)), schema.ReshapeOptionsT(),
        schema.BuiltinOptions.ReshapeOptions,
    )  # fmt: skip

    def given(shape, data) -> int:
        """A constant goes through a sum: an output of its own is none."""
        zero = network.tensor(shape, data=np.zeros(shape, np.float32))
        held = network.tensor(shape, data=np.array(data, np.float32))
        return network.add(
            schema.BuiltinOperator.ADD, [held, zero], network.tensor(shape), schema.AddOptionsT(),
            schema.BuiltinOptions.AddOptions,
        )  # fmt: skip

    scores = network.add(
        schema.BuiltinOperator.ADD,
        [column, network.tensor((1, count), data=np.zeros((1, count), np.float32))],
        network.tensor((1, count)), schema.AddOptionsT(), schema.BuiltinOptions.AddOptions,
    )  # fmt: skip
    outputs = [given((1, count, 4), boxes), given((1, count), classes), scores, given((1,), [count])]
    return network.write(path, [picture], outputs)
