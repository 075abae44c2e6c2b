// serve.js WHO UDP-PORT: HTTP, TCP and UDP on wildcards, as Node does it unless told otherwise.
const who = process.argv[2];
const local = (s) => `${who} ${s.localAddress.replace('::ffff:', '')}`;
require('http').createServer((q, a) => a.end(local(q.socket))).listen(7011, () =>
	require('net').createServer((s) => s.end(local(s))).listen(7012, () => {
		const udp = require('dgram').createSocket('udp6');
		udp.on('message', (m, peer) => udp.send(who, peer.port, peer.address));
		udp.bind(+process.argv[3], () => console.log('node is ready'));
	}));
