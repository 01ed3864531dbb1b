# Problem as text -> inclusion probabilities by Debian's BMS (0.3.5): birth-death chain, or enumeration.
#
#   Rscript run_bms.R problem.csv answer.json --iterations 100000 --seeds 0 1 2 [--enumerate]
#
# The first line of the file is the prior log odds and g, the rest are rows of design and target (problem.write_text).

suppressMessages(library(BMS))

arguments <- commandArgs(trailingOnly = TRUE)
value <- function(name, default) {
  at <- match(paste0("--", name), arguments)
  if (is.na(at)) return(default)
  rest <- arguments[-seq_len(at)]
  stop <- which(startsWith(rest, "--"))
  if (length(stop)) rest <- rest[seq_len(stop[1] - 1)]
  if (length(rest)) as.numeric(rest) else TRUE
}

table <- as.matrix(read.csv(arguments[1], header = FALSE))
terms <- ncol(table) - 1
prior <- plogis(table[1, seq_len(terms)])
g <- table[1, terms + 1]
rows <- data.frame(target = table[-1, terms + 1], table[-1, seq_len(terms)])
iterations <- value("iterations", 1e5)
burn <- value("burn", iterations %/% 10)
kind <- if (isTRUE(value("enumerate", FALSE))) "enumerate" else "bd"

answers <- vapply(value("seeds", 0), function(seed) {
  set.seed(seed)
  time <- system.time(run <- bms(rows, burn = burn, iter = iterations, nmodel = 2000, mcmc = kind, g = g,
                                 mprior = "pip", mprior.size = prior, user.int = FALSE, logfile = FALSE))
  inclusion <- coef(run, order.by.pip = FALSE, exact = FALSE)[, "PIP"]
  sprintf('{"inclusion": [%s], "seconds": %.6f, "processor_seconds": %.6f, "steps": %d, "seed": %d}',
          paste(sprintf("%.10f", inclusion), collapse = ", "), time[["elapsed"]], time[["user.self"]],
          as.integer(if (kind == "bd") iterations + burn else 2^terms), as.integer(seed))
}, "")
writeLines(paste0("[", paste(answers, collapse = ",\n "), "]"), arguments[2])
