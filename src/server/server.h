// The listener: sockets in, routes' answers out, until it is told to stop.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "server/access.h"
#include "server/access_log.h"
#include "server/router.h"

namespace atelier::server {

struct ServerOptions {
  std::string host = "127.0.0.1";  // a name listens on all its addresses; empty: no TCP
  uint16_t port = 8080;            // 0: any free one
  std::string unix_path{};         // listen there too; empty: do not
  std::string tls_certificate{};   // PEM files; both or none
  std::string tls_key{};
  AccessOptions access{};
  std::chrono::seconds shutdown_grace{30};  // running answers get this long after stop()
  AccessLog::Sink log{};
};

class Server {
 public:
  // Binds and listens. Errors: kInvalidArgument for a host other machines reach without an API key, kIo for
  // an address in use, kCorrupt for a certificate that does not load.
  static Result<std::unique_ptr<Server>> listen(ServerOptions options, Router router);
  ~Server();

  uint16_t port() const;                  // 0 without TCP
  std::vector<std::string> urls() const;  // "http://127.0.0.1:8080", "unix:/run/atelier.sock"

  // Serves until stop() or SIGINT or SIGTERM, then lets running answers finish. A second signal, or the end
  // of the grace, cuts them off: kInterrupted.
  Status run();
  void stop();  // from any thread
  bool stopping() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace atelier::server
