#include "server/server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <optional>
#include <random>

#include "server/connection.h"
#include "server/limits.h"

namespace atelier::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Local = asio::local::stream_protocol;

constexpr size_t kWorkers = 2;  // they parse and tokenize; the engine has the processor

std::string random_prefix() {
  std::random_device random;
  return fmt::format("{:08x}", random());
}

// A connection is a descriptor; the soft limit is often 1,024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<std::unique_ptr<asio::ssl::context>> tls_context(const ServerOptions& options) {
  if (options.tls_certificate.empty() && options.tls_key.empty()) return nullptr;
  if (options.tls_certificate.empty() || options.tls_key.empty())
    return fail(ErrorCode::kInvalidArgument, "TLS: expected a certificate and a key, found only one of them");
  auto context = std::make_unique<asio::ssl::context>(asio::ssl::context::tls_server);
  error_code error;
  context->set_options(asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1, error);
  context->use_certificate_chain_file(options.tls_certificate, error);
  if (error)
    return fail(ErrorCode::kCorrupt, "{}: expected a PEM certificate: {}", options.tls_certificate,
                error.message());
  context->use_private_key_file(options.tls_key, asio::ssl::context::pem, error);
  if (error)
    return fail(ErrorCode::kCorrupt, "{}: expected the certificate's PEM key: {}", options.tls_key,
                error.message());
  return context;
}

template <class Acceptor, class Endpoint>
Status open_acceptor(Acceptor& acceptor, const Endpoint& endpoint, const std::string& name) {
  error_code error;
  const auto check = [&] { return !error; };
  acceptor.open(endpoint.protocol(), error);
  if (check() && endpoint.protocol().family() != AF_UNIX)
    acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (check() && endpoint.protocol().family() == AF_INET6)
    acceptor.set_option(asio::ip::v6_only(true), error);
  if (check()) acceptor.bind(endpoint, error);
  if (check()) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (check()) return {};
  return fail(ErrorCode::kIo, "cannot listen on {}: {}", name, error.message());
}

std::string peer_name(const tcp::socket& socket) {
  error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  return error ? std::string() : peer.address().to_string();
}
std::string peer_name(const Local::socket&) { return "unix"; }

void prepare(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
}
void prepare(Local::socket&) {}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions options_in, Router router_in)
      : options(std::move(options_in)),
        router(std::move(router_in)),
        access(options.access),
        log(options.log),
        site{io, workers, router, access, log, random_prefix()},
        signals(io),
        grace_end(io) {}
  ~Impl();

  Status bind();
  Status bind_tcp();
  Status bind_unix();
  template <class Acceptor>
  asio::awaitable<void> accept(Acceptor& acceptor);
  template <class Socket>
  void welcome(Socket socket);
  void begin_stop();
  void cut_all();
  void watch_signals();
  asio::awaitable<void> wait_until_idle();

  ServerOptions options;
  Router router;
  Access access;
  AccessLog log;
  std::unique_ptr<asio::ssl::context> tls;
  asio::io_context io{1};
  asio::thread_pool workers{kWorkers};
  Site site;
  std::vector<std::unique_ptr<tcp::acceptor>> tcp_acceptors;
  std::unique_ptr<Local::acceptor> unix_acceptor;
  asio::signal_set signals;
  asio::steady_timer grace_end;
  std::vector<std::string> urls;
  std::atomic<bool> stopping{false};
  bool cut = false;
};

Server::Impl::~Impl() {
  workers.join();
  if (unix_acceptor) ::unlink(options.unix_path.c_str());
}

Status Server::Impl::bind() {
  ATELIER_TRY(tls, tls_context(options));
  if (!options.host.empty()) ATELIER_CHECK_OK(bind_tcp());
  if (!options.unix_path.empty()) ATELIER_CHECK_OK(bind_unix());
  if (urls.empty())
    return fail(ErrorCode::kInvalidArgument,
                "server: expected an address or a Unix socket to listen on, found none");
  return {};
}

Status Server::Impl::bind_tcp() {
  error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, std::to_string(options.port),
                                      tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) return fail(ErrorCode::kInvalidArgument, "host {}: {}", options.host, error.message());
  uint16_t port = options.port;
  for (const auto& entry : found) {
    tcp::endpoint endpoint = entry.endpoint();
    endpoint.port(port);
    if (!endpoint.address().is_loopback() && options.access.api_keys.empty())
      return fail(
          ErrorCode::kInvalidArgument,
          "host {}: expected an API key (--api-key) to listen where other machines reach it, found none",
          options.host);
    auto acceptor = std::make_unique<tcp::acceptor>(io);
    ATELIER_CHECK_OK(open_acceptor(*acceptor, endpoint, fmt::format("{}:{}", options.host, port)));
    port = acceptor->local_endpoint().port();  // the addresses of a name share one
    tcp_acceptors.push_back(std::move(acceptor));
  }
  const bool v6 = options.host.find(':') != std::string::npos;
  urls.push_back(
      fmt::format("http{}://{}:{}", tls ? "s" : "", v6 ? "[" + options.host + "]" : options.host, port));
  return {};
}

// A socket file whose server is gone is in the way; one whose server answers, or any other file, is not ours.
Status Server::Impl::bind_unix() {
  const std::string& path = options.unix_path;
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    Local::socket probe(io);
    error_code error;
    if (S_ISSOCK(info.st_mode)) probe.connect(Local::endpoint(path), error);
    if (!S_ISSOCK(info.st_mode) || error != asio::error::connection_refused)
      return fail(ErrorCode::kIo, "{}: expected a free name for the socket, found something in use", path);
    ::unlink(path.c_str());
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(ErrorCode::kInvalidArgument,
                "{}: expected a path of less than {} bytes for a socket, found {}", path,
                sizeof(sockaddr_un::sun_path), path.size());
  unix_acceptor = std::make_unique<Local::acceptor>(io);
  const mode_t before = ::umask(0177);  // only the owner may connect
  const Status opened = open_acceptor(*unix_acceptor, Local::endpoint(path), path);
  ::umask(before);
  if (!opened) {
    unix_acceptor.reset();
    return opened;
  }
  urls.push_back("unix:" + path);
  return {};
}

template <class Acceptor>
asio::awaitable<void> Server::Impl::accept(Acceptor& acceptor) {
  while (acceptor.is_open()) {
    typename Acceptor::protocol_type::socket socket(io);
    error_code error;
    co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      welcome(std::move(socket));
    } else if (acceptor.is_open()) {  // out of descriptors, most likely: some will be given back
      asio::steady_timer pause(io, std::chrono::milliseconds(100));
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

template <class Socket>
void Server::Impl::welcome(Socket socket) {
  std::string peer = peer_name(socket);
  prepare(socket);
  if (site.connections.size() >= kMaxConnections) {
    constexpr std::string_view kFull =
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\nconnection: "
        "close\r\n\r\n";
    error_code ignored;
    socket.non_blocking(true, ignored);
    if (!tls) socket.write_some(asio::buffer(kFull.data(), kFull.size()), ignored);
    return;
  }
  constexpr bool kTcp = std::is_same_v<Socket, tcp::socket>;
  Stream::Socket generic(std::move(socket));
  auto stream = tls && kTcp ? Stream::tls(std::move(generic), *tls) : Stream::plain(std::move(generic));
  std::make_shared<Connection>(site, std::move(stream), std::move(peer))->start();
}

void Server::Impl::begin_stop() {
  if (stopping.exchange(true)) return cut_all();
  site.draining = true;
  error_code ignored;
  for (auto& acceptor : tcp_acceptors) acceptor->close(ignored);
  if (unix_acceptor) unix_acceptor->close(ignored);
  for (const auto& connection : site.connections) connection->drain();
  asio::co_spawn(io, wait_until_idle(), asio::detached);
}

asio::awaitable<void> Server::Impl::wait_until_idle() {
  const auto end = std::chrono::steady_clock::now() + options.shutdown_grace;
  while (!site.connections.empty()) {
    if (std::chrono::steady_clock::now() >= end && !cut) cut_all();
    error_code ignored;
    grace_end.expires_after(std::chrono::milliseconds(20));
    co_await grace_end.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  signals.cancel();
  io.stop();
}

void Server::Impl::cut_all() {
  cut = !site.connections.empty();
  const auto connections = site.connections;  // each removes itself
  for (const auto& connection : connections) connection->cut();
}

void Server::Impl::watch_signals() {
  signals.async_wait([this](error_code error, int) {
    if (error) return;
    begin_stop();
    watch_signals();
  });
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(ServerOptions options, Router router) {
  auto impl = std::make_unique<Impl>(std::move(options), std::move(router));
  ATELIER_CHECK_OK(impl->bind());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

uint16_t Server::port() const {
  return impl_->tcp_acceptors.empty() ? uint16_t{0} : impl_->tcp_acceptors[0]->local_endpoint().port();
}

std::vector<std::string> Server::urls() const { return impl_->urls; }

bool Server::stopping() const { return impl_->stopping; }

void Server::stop() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->begin_stop(); });
}

Status Server::run() {
  raise_descriptor_limit();
  std::signal(SIGPIPE, SIG_IGN);
  impl_->signals.add(SIGINT);
  impl_->signals.add(SIGTERM);
  impl_->watch_signals();
  for (auto& acceptor : impl_->tcp_acceptors)
    asio::co_spawn(impl_->io, impl_->accept(*acceptor), asio::detached);
  if (impl_->unix_acceptor) asio::co_spawn(impl_->io, impl_->accept(*impl_->unix_acceptor), asio::detached);
  impl_->io.run();
  if (impl_->cut) return fail(ErrorCode::kInterrupted, "interrupted while answers were running");
  return {};
}

}  // namespace atelier::server
