"""serve.py WHO: asyncio's default, a socket a family, and a dual-stack one of socket's own."""
import asyncio
import socket
import sys

who = sys.argv[1]


async def answer(reader, writer):
    local = writer.get_extra_info("sockname")[0].replace("::ffff:", "")
    writer.write(f"{who} {local}".encode())
    await writer.drain()
    writer.close()


async def main():
    await asyncio.start_server(answer, None, 7031)
    both = socket.create_server(("", 7032), family=socket.AF_INET6, dualstack_ipv6=True)
    await asyncio.start_server(answer, sock=both)
    print("python is ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
