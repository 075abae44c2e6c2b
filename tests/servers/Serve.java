import com.sun.net.httpserver.HttpServer;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;

/** The three kinds of server that a Java program has, all on wildcards: Serve WHO UDP-PORT. */
class Serve {
	public static void main(String[] args) throws Exception {
		String who = args[0];
		HttpServer http = HttpServer.create(new InetSocketAddress(7002), 0);
		http.createContext("/", x -> {
			byte[] b = (who + " " + x.getLocalAddress().getAddress().getHostAddress()).getBytes();
			x.sendResponseHeaders(200, b.length);
			x.getResponseBody().write(b);
			x.close();
		});
		http.start();
		DatagramSocket udp = new DatagramSocket(Integer.parseInt(args[1]));
		Thread echo = new Thread(() -> {
			byte[] b = who.getBytes();
			DatagramPacket p = new DatagramPacket(new byte[100], 100);
			try {
				while (true) {
					udp.receive(p);
					udp.send(new DatagramPacket(b, b.length, p.getSocketAddress()));
				}
			} catch (java.io.IOException e) {
				System.err.println("udp: " + e);
			}
		});
		echo.start();
		ServerSocket tcp = new ServerSocket(7001);
		System.out.println("java is ready");
		while (true)
			try (Socket s = tcp.accept()) {
				s.getOutputStream().write((who + " " + s.getLocalAddress().getHostAddress()).getBytes());
			}
	}
}
