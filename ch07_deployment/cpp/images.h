// What both programs do beside running the network: files, a clock, errors.
#pragma once

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

inline std::string existing(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    throw std::runtime_error("no such file: " + path);
  }
  return path;
}

// A file of float32 numbers, in the machine's byte order -> (N, 3, 32, 32).
inline at::Tensor read_images(const std::string& path) {
  const std::uintmax_t image = 3 * 32 * 32 * sizeof(float);  // bytes
  const std::uintmax_t bytes = std::filesystem::file_size(existing(path));
  if (bytes == 0 || bytes % image != 0) {
    throw std::runtime_error(path + " has " + std::to_string(bytes) +
                             " bytes, not a multiple of " + std::to_string(image));
  }
  at::Tensor images = at::empty({static_cast<std::int64_t>(bytes / image), 3, 32, 32});
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(images.data_ptr<float>()),
                 static_cast<std::streamsize>(bytes))) {
    throw std::runtime_error("can not read " + path);
  }
  return images;
}

// (N, 10) -> the same numbers as float32, row after row.
inline void write_logits(const at::Tensor& logits, const std::string& path) {
  const at::Tensor rows = logits.contiguous();
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(rows.data_ptr<float>()),
             static_cast<std::streamsize>(rows.nbytes()));
  if (!file.flush()) {
    throw std::runtime_error("can not write " + path);
  }
}

inline int number(const std::string& word) {
  try {
    return std::stoi(word);
  } catch (const std::logic_error&) {
    throw std::runtime_error("not a number: " + word);
  }
}

// Prints the median of some rounds, after as many to warm up.
template <class Call>
void print_time(int rounds, Call call) {
  std::vector<double> taken;
  for (int round = 0; round < 2 * rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double, std::milli> passed =
        std::chrono::steady_clock::now() - start;
    if (round >= rounds) taken.push_back(passed.count());
  }
  if (taken.empty()) return;
  std::sort(taken.begin(), taken.end());
  std::cout << "median ms " << taken[taken.size() / 2] << "\n";
}

// One line on stderr, without PyTorch's stack of calls; the exit code.
inline int failed(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string reason =
      torch_error ? torch_error->what_without_backtrace() : error.what();
  std::cerr << "error: " << reason.substr(0, reason.find('\n')) << "\n";
  return 1;
}

inline int usage(const std::string& program, const std::string& model) {
  std::cerr << "usage: " << program << " " << model << " IMAGES LOGITS [ROUNDS]\n";
  return 2;
}
