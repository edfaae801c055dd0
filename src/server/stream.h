// A connected socket: TCP or Unix, with or without TLS, behind one face. Internal to the network files.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>

namespace atelier::server {

class Stream {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;
  using Done = std::function<void(boost::system::error_code, size_t)>;

  static std::unique_ptr<Stream> plain(Socket socket);
  static std::unique_ptr<Stream> tls(Socket socket, boost::asio::ssl::context& context);
  virtual ~Stream() = default;

  // One read and one write may be under way at a time; the buffers must live until `done`.
  virtual void handshake(Done done) = 0;  // nothing to do without TLS
  virtual void read_some(boost::asio::mutable_buffer buffer, Done done) = 0;
  virtual void write_some(boost::asio::const_buffer buffer, Done done) = 0;
  virtual void say_goodbye(Done done) = 0;  // TLS close_notify, then no more sending
  virtual void close() = 0;                 // at once; operations under way end with an error
};

}  // namespace atelier::server
