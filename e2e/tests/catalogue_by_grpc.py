"""Searches the catalogue as a Python program with grpcio would. Usage: catalogue_by_grpc.py HOST:PORT WORD.

Knows nothing of the contract beforehand: it asks the replica's reflection for it. Prints the ids of what was found, one a line.
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SERVING = b"\x08\x01"


def main(address, word):
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        service = "store.catalogue.v1.Catalogue"
        assert service in database.get_services(), database.get_services()
        pool = descriptor_pool.DescriptorPool(database)

        def call(name, **fields):
            method = pool.FindServiceByName(service).methods_by_name[name]
            request = message_factory.GetMessageClass(method.input_type)(**fields)
            ask = channel.unary_unary(
                f"/{service}/{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )
            return ask(request, timeout=30)

        for product in call("Search", query=word).products:
            print(product.id)
        try:
            call("Related", product_id="nothing-like-it")
            raise AssertionError("an unknown product has nothing related")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error

        health = channel.unary_unary("/grpc.health.v1.Health/Check")
        for request in [b"", bytes([10, len(service)]) + service.encode()]:
            answer = health(request, timeout=30)
            assert answer == SERVING, answer


main(*sys.argv[1:])
