"""Metrics of generated captions: texts in, numbers out; no files, no names of clips.

Each metric gives `Statistics`: what each clip adds to sums from which the metric follows. The value, its bootstrap
interval and the paired difference of two systems come from these alone.

statistics  sums over clips -> value, confidence interval, difference of two systems
tokens      captions -> words, the same for all metrics of n-grams
cider       CIDEr-D
bleu        BLEU-1 to BLEU-4 of the corpus
rouge       ROUGE-L
embeddings  BERTScore and sentence similarity
baselines   what a system that does not see the input would say; vocabulary, share of distinct captions
"""
