"""Proves that the service speaks gRPC as Python's grpcio does: calls, errors, deadlines, health and reflection.

Usage: grpcio_client.py HOST:PORT. Knows nothing of the contract beforehand: it asks the service's reflection for it.
Exits with 0 when everything is as expected.
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def encode_string(number, text):
    data = text.encode()
    return bytes([number << 3 | 2, len(data)]) + data


def main(address):
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = database.get_services()
        for expected in ["example.greeter.v1.Greeter", "grpc.health.v1.Health"]:
            assert expected in services, services
        pool = descriptor_pool.DescriptorPool(database)
        greeter = pool.FindServiceByName("example.greeter.v1.Greeter")

        def method(name):
            found = greeter.methods_by_name[name]
            response = message_factory.GetMessageClass(found.output_type)
            return (
                message_factory.GetMessageClass(found.input_type),
                channel.unary_unary(
                    f"/example.greeter.v1.Greeter/{name}",
                    request_serializer=lambda message: message.SerializeToString(),
                    response_deserializer=response.FromString,
                ),
            )

        request, greet = method("Greet")
        answer = greet(request(name="grpcio", wish={"count": -5, "unit": "mugs"}), timeout=30)
        assert answer.text == "Hello, grpcio!", answer
        assert answer.wish.count == -5, answer

        request, fail = method("Fail")
        for how, code in [("not_found", grpc.StatusCode.NOT_FOUND), ("aborted", grpc.StatusCode.ABORTED)]:
            try:
                fail(request(how=how), timeout=30)
                raise AssertionError("did not fail")
            except grpc.RpcError as error:
                assert error.code() == code, error
                details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
                assert (b"example.greeter.v1.Shortage" in details) == (how == "aborted"), details

        request, wait = method("Wait")
        try:
            wait(request(milliseconds=60000), timeout=0.05)
            raise AssertionError("did not fail")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error

        # Health, written by hand: its package need not be installed.
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert check(encode_string(1, "example.greeter.v1.Greeter"), timeout=30) == bytes([0x08, 0x01])
    print("all as expected")


if __name__ == "__main__":
    main(sys.argv[1])
