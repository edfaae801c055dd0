#include "server/stream.h"

#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>

namespace atelier::server {
namespace {

using boost::asio::const_buffer;
using boost::asio::mutable_buffer;
using boost::system::error_code;

void close_socket(Stream::Socket& socket) {
  error_code ignored;
  socket.close(ignored);
}

class PlainStream final : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {}

  void handshake(Done done) override {
    boost::asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }
  void read_some(mutable_buffer buffer, Done done) override {
    socket_.async_read_some(buffer, std::move(done));
  }
  void write_some(const_buffer buffer, Done done) override {
    socket_.async_write_some(buffer, std::move(done));
  }
  void say_goodbye(Done done) override {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    boost::asio::post(socket_.get_executor(), [done = std::move(done)] { done({}, 0); });
  }
  void close() override { close_socket(socket_); }

 private:
  Socket socket_;
};

class TlsStream final : public Stream {
 public:
  TlsStream(Socket socket, boost::asio::ssl::context& context) : stream_(std::move(socket), context) {}

  void handshake(Done done) override {
    stream_.async_handshake(boost::asio::ssl::stream_base::server,
                            [done = std::move(done)](error_code error) { done(error, 0); });
  }
  void read_some(mutable_buffer buffer, Done done) override {
    stream_.async_read_some(buffer, std::move(done));
  }
  void write_some(const_buffer buffer, Done done) override {
    stream_.async_write_some(buffer, std::move(done));
  }
  void say_goodbye(Done done) override {
    stream_.async_shutdown([done = std::move(done)](error_code error) { done(error, 0); });
  }
  void close() override { close_socket(stream_.next_layer()); }

 private:
  boost::asio::ssl::stream<Socket> stream_;
};

}  // namespace

std::unique_ptr<Stream> Stream::plain(Socket socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

std::unique_ptr<Stream> Stream::tls(Socket socket, boost::asio::ssl::context& context) {
  return std::make_unique<TlsStream>(std::move(socket), context);
}

}  // namespace atelier::server
