#include "server/request_reader.h"

#include <gtest/gtest.h>

#include "server/limits.h"

namespace atelier::server {
namespace {

using State = RequestReader::State;

// Feeds `bytes` in pieces of `piece` and returns how many were taken.
size_t feed_in_pieces(RequestReader& reader, std::string_view bytes, size_t piece) {
  std::string unread;
  size_t taken = 0;
  while (!bytes.empty() && reader.state() != State::kFailed && reader.state() != State::kComplete) {
    unread += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (;;) {
      const size_t n = reader.feed(unread);
      unread.erase(0, n);
      taken += n;
      if (n == 0 || unread.empty()) break;
    }
  }
  return taken;
}

RequestReader read(std::string_view bytes, size_t piece = 1 << 20) {
  RequestReader reader;
  feed_in_pieces(reader, bytes, piece);
  return reader;
}

constexpr std::string_view kPost =
    "POST /v1/chat/completions?x=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: 7\r\n\r\n{\"a\":1}";
constexpr std::string_view kChunked =
    "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\nT: "
    "v\r\n\r\n";

TEST(RequestReader, ReadsARequestHoweverItIsCut) {
  for (const std::string_view text : {kPost, kChunked}) {
    for (size_t piece = 1; piece <= text.size(); ++piece) {
      const RequestReader reader = read(text, piece);
      ASSERT_EQ(reader.state(), State::kComplete) << piece << reader.failure().message;
      EXPECT_EQ(reader.request().body, "{\"a\":1}");
      EXPECT_EQ(reader.request().method, "POST");
      EXPECT_TRUE(reader.keep_alive());
    }
  }
  EXPECT_EQ(read(kPost).request().path, "/v1/chat/completions");
  EXPECT_EQ(read(kPost).request().query, "x=1");
  EXPECT_EQ(read(kPost).request().header("content-type"), "application/json");
}

TEST(RequestReader, StopsAfterTheHeaderAndAfterTheBody) {
  RequestReader reader;
  const std::string two = std::string(kPost) + "GET / HTTP/1.1\r\n";
  const size_t head = reader.feed(two);
  EXPECT_EQ(head, kPost.size() - 7);
  EXPECT_EQ(reader.state(), State::kBody);
  EXPECT_EQ(reader.content_length(), 7u);
  EXPECT_EQ(reader.feed(std::string_view(two).substr(head)), 7u);
  EXPECT_EQ(reader.state(), State::kComplete);
}

TEST(RequestReader, EveryStrictPrefixWantsMore) {
  for (const std::string_view text : {kPost, kChunked})
    for (size_t n = 0; n < text.size(); ++n) {
      const State state = read(text.substr(0, n), 7).state();
      EXPECT_TRUE(state == State::kHeader || state == State::kBody) << n;
    }
}

struct Bad {
  std::string_view text;
  unsigned status;
};

TEST(RequestReader, RefusesWhatIsNotWellFormed) {
  const Bad cases[] = {
      {"GET\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: h\r\n\r\n", 505},
      {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"G@T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET / HTTP/1.1\r\n\r\n", 400},                          // no Host
      {"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400},    // two
      {"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400},              // space before the colon
      {"GET / HTTP/1.1\r\nHost: h\r\nX\r\n\r\n", 400},          // no colon
      {"GET / HTTP/1.1\r\nHost: h\r\nX: a\x01z\r\n\r\n", 400},  // control character
      {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"GET x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1e3\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n", 415},
      {"POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\n", 417},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n", 400},
      {"\r\n\r\n\r\n", 400},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n", 400},  // TLS to a plain port
  };
  for (const Bad& bad : cases) {
    for (const size_t piece : {size_t{1}, size_t{5}, size_t{4096}}) {
      const RequestReader reader = read(bad.text, piece);
      EXPECT_EQ(reader.state(), State::kFailed) << bad.text;
      EXPECT_EQ(reader.failure().status, bad.status) << bad.text << reader.failure().message;
      EXPECT_FALSE(reader.failure().message.empty());
    }
  }
}

TEST(RequestReader, BodiesEndAtTheLimitOnEveryPath) {
  const auto post = [](size_t length) {
    return "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n" +
           std::string(length, 'x');
  };
  EXPECT_EQ(read(post(kMaxBodyBytes)).state(), State::kComplete);
  const RequestReader over = read(post(kMaxBodyBytes + 1));
  EXPECT_EQ(over.failure().status, 413u);
  EXPECT_NE(over.failure().message.find(std::to_string(kMaxBodyBytes)), std::string::npos);

  constexpr size_t kChunk = size_t{1} << 20;
  const auto chunked = [](size_t n_chunks, std::string_view last) {
    std::string text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (size_t i = 0; i < n_chunks; ++i) text += "100000\r\n" + std::string(kChunk, 'x') + "\r\n";
    return text + std::string(last) + "0\r\n\r\n";
  };
  EXPECT_EQ(read(chunked(kMaxBodyBytes / kChunk, "")).state(), State::kComplete);
  EXPECT_EQ(read(chunked(kMaxBodyBytes / kChunk, "1\r\nx\r\n")).failure().status, 413u);
  EXPECT_EQ(read("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")
                .failure()
                .status,
            413u);
}

TEST(RequestReader, HeadersEndAtTheLimitOnEveryPath) {
  const auto with_field = [](size_t n) {
    return "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(n, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(read(with_field(kMaxHeaderBytes - 100), 1000).state(), State::kComplete);
  const RequestReader over = read(with_field(kMaxHeaderBytes), 1000);
  EXPECT_EQ(over.failure().status, 431u);
  EXPECT_NE(over.failure().message.find("65536"), std::string::npos);
  EXPECT_EQ(read("GET /" + std::string(kMaxHeaderBytes, 'x'), 1000).failure().status, 431u);
  std::string many = "GET / HTTP/1.1\r\nHost: h\r\n";
  while (many.size() < kMaxHeaderBytes) many += "X: y\r\n";
  EXPECT_EQ(read(many + "\r\n").failure().status, 431u);
  EXPECT_EQ(read(many + "\r\n", 1000).failure().status, 431u) << read(many + "\r\n", 1000).failure().message;
  // A chunk's extension and a trailer are headers that come late.
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(read(head + "1;" + std::string(2 * kMaxHeaderBytes, 'x'), 1000).failure().status, 431u);
  EXPECT_EQ(read(head + "0\r\nT: " + std::string(2 * kMaxHeaderBytes, 'x'), 1000).failure().status, 431u);
}

TEST(RequestReader, KnowsTheAbsoluteFormAndHttp10) {
  const RequestReader proxied = read("GET http://h:80/a%20b?q#f HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(proxied.request().path, "/a b");
  EXPECT_EQ(proxied.request().query, "q");
  const RequestReader old = read("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.state(), State::kComplete);
  EXPECT_TRUE(old.http_1_0());
  EXPECT_FALSE(old.keep_alive());
  EXPECT_TRUE(read("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
                  .expects_continue());
}

TEST(Query, FindsValues) {
  EXPECT_EQ(query_value("a=1&b=%41+", "b"), "A+");
  EXPECT_EQ(query_value("a=1&b", "b"), "");
  EXPECT_EQ(query_value("a=1&b", "c"), std::nullopt);
  EXPECT_EQ(query_value("b=%4", "b"), std::nullopt);
}

}  // namespace
}  // namespace atelier::server
