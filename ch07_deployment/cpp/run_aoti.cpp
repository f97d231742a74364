// Runs an AOTInductor package on a file of images.
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include "images.h"

int main(int argc, char** argv) {
  if (argc < 4) return usage(argv[0], "PACKAGE.pt2");
  try {
    const c10::InferenceMode no_gradients;
    torch::inductor::AOTIModelPackageLoader network(existing(argv[1]));

    const at::Tensor images = read_images(argv[2]);         // (N, 3, 32, 32)
    const at::Tensor logits = network.run({images}).at(0);  // (N, 10)
    write_logits(logits, argv[3]);

    if (argc > 4) print_time(number(argv[4]), [&] { network.run({images}); });
  } catch (const std::exception& error) {
    return failed(error);
  }
}
